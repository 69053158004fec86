"""Whether a score of 0.8 is right eight times out of ten.

Guo et al., On Calibration of Modern Neural Networks, 2017; for detection, where precision takes the
place of accuracy: Kueppers et al., Multivariate Confidence Calibration for Object Detection, 2020.
"""

import numpy as np


def reliability(scores: np.ndarray, hits: np.ndarray, bins: int = 10) -> dict[str, np.ndarray]:
    """Mean score and precision of predictions of similar score.

    Args:
        scores: In [0, 1], shape ``(P,)``.
        hits: Whether each prediction is right, shape ``(P,)``.
        bins: Number of equal intervals of [0, 1]; each includes its upper end.

    Returns:
        ``count``, ``confidence`` (mean score) and ``precision`` of each interval, ``(bins,)``, the
        last two NaN in empty ones, and ``edges``, ``(bins + 1,)``.

    Raises:
        ValueError: A score is not in [0, 1].
    """
    if len(scores) and not (scores.min() >= 0 and scores.max() <= 1):
        raise ValueError(
            f'Scores range from {scores.min():g} to {scores.max():g}; calibration needs '
            'probabilities in [0, 1].'
        )
    edges = np.linspace(0, 1, bins + 1)
    rows = np.searchsorted(edges[1:-1], scores)
    count = np.bincount(rows, minlength=bins)
    sums = (
        np.bincount(rows, values, minlength=bins) for values in (scores, np.asarray(hits, float))
    )
    confidence, precision = (np.where(count, s / np.maximum(count, 1), np.nan) for s in sums)
    return {'count': count, 'confidence': confidence, 'precision': precision, 'edges': edges}


def expected_calibration_error(scores: np.ndarray, hits: np.ndarray, bins: int = 10) -> float:
    """Mean gap between score and precision, weighted by the predictions of each interval (ECE).

    Args:
        scores: In [0, 1], shape ``(P,)``.
        hits: Whether each prediction is right, shape ``(P,)``.
        bins: See :func:`reliability`.

    Returns:
        A value in [0, 1]; NaN without predictions.

    Raises:
        ValueError: A score is not in [0, 1].
    """
    diagram = reliability(scores, hits, bins)
    gaps = np.nan_to_num(np.abs(diagram['confidence'] - diagram['precision']))
    return float(np.average(gaps, weights=diagram['count'])) if len(scores) else float('nan')
