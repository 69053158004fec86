"""Precision, recall, F1 and average precision of scored predictions.

Predictions of equal score pass a threshold together, so the order of the rows never matters.
"""

import numpy as np

ELEVEN_POINTS = np.arange(11) / 10
"""Recalls 0, 0.1 ... 1 of PASCAL VOC 2007; not ``linspace``, whose 0.3 is above 3 / 10."""

RECALL_GRID = np.linspace(0, 1, 101)
"""Recalls of COCO."""

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Overlaps of COCO."""


def count_curve(scores: np.ndarray, hits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions and hits above each distinct score.

    Args:
        scores: Shape ``(P,)``.
        hits: Whether each prediction is matched, shape ``(P,)``.

    Returns:
        Thresholds in descending order, predictions with ``score >= threshold``, and hits among
        them, each ``(K,)``.
    """
    order = np.argsort(-scores, kind='stable')
    scores = scores[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)[: len(scores)])
    return scores[last], last + 1, np.cumsum(hits[order])[last]


def average_precision(
    scores: np.ndarray,
    hits: np.ndarray,
    num_truths: int,
    recall_grid: np.ndarray | None = None,
) -> float:
    """Area under the precision-recall curve after its monotone envelope.

    Args:
        scores: Shape ``(P,)``.
        hits: Whether each prediction is matched, shape ``(P,)``.
        num_truths: Number of truths.
        recall_grid: Recalls in ascending order to average the precision over (COCO: 101 steps, or
            :data:`ELEVEN_POINTS`); None integrates over all points.

    Returns:
        A value in [0, 1]; NaN without truths.
    """
    if num_truths == 0:
        return float('nan')
    _, predicted, hit = count_curve(scores, hits)
    recall = hit / num_truths
    envelope = np.maximum.accumulate((hit / predicted)[::-1])[::-1]
    if recall_grid is None:
        return float((np.diff(recall, prepend=0) * envelope).sum())
    return float(np.append(envelope, 0)[np.searchsorted(recall, recall_grid)].mean())


def operating_point(
    scores: np.ndarray, hits: np.ndarray, num_truths: int, threshold: float | None = None
) -> dict[str, float]:
    """Precision, recall and F1 of the predictions that reach a threshold.

    Args:
        scores: Shape ``(P,)``.
        hits: Whether each prediction is matched, shape ``(P,)``.
        num_truths: Number of truths.
        threshold: Lowest score that counts; None takes the one of the best F1, the highest of
            equal ones.

    Returns:
        ``precision`` (NaN without predictions), ``recall`` (NaN without truths), ``f1`` (NaN
        without both) and ``threshold`` (NaN if searched for without predictions).
    """
    if threshold is None:
        thresholds, predicted, hit = count_curve(scores, hits)
        best = (2 * hit / (predicted + num_truths)).argmax() if len(thresholds) else None
        threshold = float('nan') if best is None else float(thresholds[best])
    kept = scores >= threshold
    predicted, hit = int(kept.sum()), int(hits[kept].sum())
    return {
        'precision': _ratio(hit, predicted),
        'recall': _ratio(hit, num_truths),
        'f1': _ratio(2 * hit, predicted + num_truths),
        'threshold': threshold,
    }


def balanced_threshold(
    scores: np.ndarray, hits: np.ndarray, num_truths: int, tolerance: float = 0.02
) -> float:
    """Threshold of the best F1 among those where precision and recall hardly differ.

    Args:
        scores: Shape ``(P,)``.
        hits: Whether each prediction is matched, shape ``(P,)``.
        num_truths: Number of truths.
        tolerance: Precision and recall differ by less.

    Returns:
        The score of a hit, the highest of equally good ones; NaN if there is none.
    """
    thresholds, predicted, hit = count_curve(scores, hits)
    gap = np.abs(hit / predicted - hit / max(num_truths, 1))
    allowed = (np.diff(hit, prepend=0) > 0) & (gap < tolerance)
    if not allowed.any():
        return float('nan')
    return float(thresholds[np.where(allowed, 2 * hit / (predicted + num_truths), -1).argmax()])


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float('nan')
