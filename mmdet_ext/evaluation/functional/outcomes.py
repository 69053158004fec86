"""What became of the predictions of one image or of many."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Outcome:
    """Predictions with their matches, a row each.

    An evaluator that lets truths share a prediction has a row for each of them.

    Attributes:
        scores: Shape ``(P,)``.
        hits: Whether each prediction is matched, ``(P,)``, or at several limits, ``(P, L)``.
        num_truths: Number of truths, T.
        values: Further figures of the rows by name, each ``(P,)``, NaN where there is no
            match or no label.
        truth_values: Figures of the truths by name, each ``(T,)``; those that :func:`select` needs.
    """

    scores: np.ndarray
    hits: np.ndarray
    num_truths: int
    values: dict[str, np.ndarray] = field(default_factory=dict)
    truth_values: dict[str, np.ndarray] = field(default_factory=dict)


def select(outcome: Outcome, name: str, wanted: Callable[[np.ndarray], np.ndarray]) -> Outcome:
    """Part of an outcome: the truths of one kind and the predictions that concern them.

    Args:
        outcome: With a figure of this name of both the rows and the truths, which agree in every
            matched pair.
        name: The figure.
        wanted: Tells of the figures ``(N,)`` which are of that kind, ``(N,)``.

    Returns:
        The rows and the number of truths for which it holds.
    """
    rows, truths = wanted(outcome.values[name]), wanted(outcome.truth_values[name])
    return Outcome(
        outcome.scores[rows],
        outcome.hits[rows],
        int(truths.sum()),
        {key: value[rows] for key, value in outcome.values.items()},
        {key: value[truths] for key, value in outcome.truth_values.items()},
    )


def mean_value(outcome: Outcome, name: str, threshold: float) -> float:
    """Mean of a figure over the pairs whose prediction reaches the threshold; NaN if none."""
    values = outcome.values[name][outcome.scores >= threshold]
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float('nan')
