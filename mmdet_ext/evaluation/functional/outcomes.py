"""What became of the predictions of one image or of many."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Outcome:
    """Predictions with their matches.

    Attributes:
        scores: Shape ``(P,)``.
        hits: Whether each prediction is matched, ``(P,)``, or at several limits, ``(P, L)``.
        num_truths: Number of truths.
        values: Further figures of the matched pairs by name, each ``(P,)``, NaN where there is no
            match or no label.
    """

    scores: np.ndarray
    hits: np.ndarray
    num_truths: int
    values: dict[str, np.ndarray] = field(default_factory=dict)


def concatenate(outcomes: Sequence[Outcome]) -> Outcome:
    """Join the outcomes of many images, at least one, that have the same ``values``."""
    return Outcome(
        np.concatenate([outcome.scores for outcome in outcomes]),
        np.concatenate([outcome.hits for outcome in outcomes]),
        sum(outcome.num_truths for outcome in outcomes),
        {
            name: np.concatenate([outcome.values[name] for outcome in outcomes])
            for name in outcomes[0].values
        },
    )


def mean_value(outcome: Outcome, name: str, threshold: float) -> float:
    """Mean of a figure over the pairs whose prediction reaches the threshold; NaN if none."""
    values = outcome.values[name][outcome.scores >= threshold]
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float('nan')
