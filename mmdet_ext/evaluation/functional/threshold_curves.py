"""Precision, recall, F1 and ROC as functions of the score threshold.

The area under the ROC curve is called AUC here, that under the precision-recall curve AP.
"""

import numpy as np

from mmdet_ext.evaluation.functional.detections import Detections, Truths
from mmdet_ext.evaluation.functional.outcomes import Outcome
from mmdet_ext.evaluation.functional.precision_recall import count_curve


def threshold_curves(outcome: Outcome) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of the predictions that reach each threshold.

    Args:
        outcome: P predictions.

    Returns:
        ``threshold`` (each distinct score, descending), ``precision``, ``recall`` and ``f1``, each
        ``(K,)``. Without truths the recall is NaN.
    """
    thresholds, predicted, hits = count_curve(outcome.scores, outcome.hits)
    return {
        'threshold': thresholds,
        'precision': hits / predicted,
        'recall': hits / outcome.num_truths if outcome.num_truths else np.full(len(hits), np.nan),
        'f1': 2 * hits / (predicted + outcome.num_truths),
    }


def roc_curve(scores: np.ndarray, positive: np.ndarray) -> dict[str, np.ndarray]:
    """Receiver operating characteristic.

    Of predictions, positive are those matched with a truth and negative those that are not: the
    curve says how well scores tell right predictions from wrong ones, and nothing about truths
    that were never predicted. Of images, see :func:`image_scores`.

    Args:
        scores: Shape ``(N,)``.
        positive: Shape ``(N,)``, bool.

    Returns:
        ``false_positive_rate``, ``true_positive_rate`` and ``threshold``, each ``(K + 1,)``, from
        (0, 0) at an infinite threshold to (1, 1); NaN where there are no positives or negatives.
    """
    thresholds, counted, true = count_curve(scores, np.asarray(positive, bool))
    negatives = len(scores) - np.count_nonzero(positive)
    rates = {
        'false_positive_rate': (counted - true) / negatives if negatives else np.nan * counted,
        'true_positive_rate': true / (len(scores) - negatives)
        if negatives < len(scores)
        else np.nan * counted,
    }
    curve = {name: np.insert(values, 0, 0.0) for name, values in rates.items()}
    return curve | {'threshold': np.insert(thresholds, 0, np.inf)}


def area_under_roc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under :func:`roc_curve` (AUC), NaN unless there are both positives and negatives.

    It is the chance that a positive scores higher than a negative; an equal score counts half.
    """
    curve = roc_curve(scores, positive)
    heights, widths = curve['true_positive_rate'], np.diff(curve['false_positive_rate'])
    area = ((heights[1:] + heights[:-1]) / 2 * widths).sum()
    return float(area) if len(scores) else float('nan')


def image_scores(
    detections: Detections, truths: Truths, num_images: int, label: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and truths for an image-level ROC: is there an object in the image at all?

    An image is positive if it has a truth, and its score is that of its best prediction, minus
    infinity without one. Images whose only truths are crowds are left out.

    Args:
        detections: P predictions.
        truths: T truths.
        num_images: Number of images N, with and without truths.
        label: Only this class.

    Returns:
        Scores and whether each image is positive, ``(M,)`` each, M at most N.
    """
    mine = slice(None) if label is None else detections.labels == label
    best = np.full(num_images, -np.inf)
    np.maximum.at(best, detections.images[mine], detections.scores[mine])
    counted = np.ones(len(truths.labels), bool) if label is None else truths.labels == label
    positive, crowded = np.zeros((2, num_images), bool)
    positive[truths.images[counted & ~truths.crowd]] = True
    crowded[truths.images[counted & truths.crowd]] = True
    known = positive | ~crowded
    return best[known], positive[known]
