"""Overlap of quadrilaterals and the COCO-style mean average precision over it."""

from collections.abc import Sequence

import numpy as np
import shapely

from mmdet_ext.evaluation.functional.matching import match_greedy
from mmdet_ext.evaluation.functional.outcomes import Outcome, concatenate
from mmdet_ext.evaluation.functional.precision_recall import average_precision

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_GRID = np.linspace(0, 1, 101)


def polygon_iou(corners: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair of quadrilaterals.

    Args:
        corners: Shape ``(P, 4, 2)``; crossed edges are allowed, a value that is not finite makes
            the overlap 0.
        others: Shape ``(T, 4, 2)``.

    Returns:
        Shape ``(P, T)``.
    """
    iou = np.zeros((len(corners), len(others)))
    low, high = corners.min(1)[:, None], corners.max(1)[:, None]
    i, j = np.nonzero(((low < others.max(1)) & (others.min(1) < high)).all(-1))
    finite = np.isfinite(corners).all((1, 2))[i] & np.isfinite(others).all((1, 2))[j]
    i, j = i[finite], j[finite]
    first, second = _polygons(corners, i), _polygons(others, j)
    common = shapely.area(shapely.intersection(first, second))
    whole = shapely.area(first) + shapely.area(second) - common
    iou[i, j] = common / np.where(whole > 0, whole, 1)
    return iou


def _polygons(corners: np.ndarray, rows: np.ndarray) -> np.ndarray:
    used, inverse = np.unique(rows, return_inverse=True)
    polygons = shapely.polygons(corners[used])
    crossed = ~shapely.is_valid(polygons)
    polygons[crossed] = shapely.make_valid(polygons[crossed])
    return polygons[inverse]


def match_polygons(
    corners: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    true_corners: np.ndarray,
    true_labels: np.ndarray,
) -> dict[int, Outcome]:
    """Match the quadrilaterals of one image within each class at :data:`IOU_THRESHOLDS`.

    Args:
        corners: Predictions, shape ``(P, 4, 2)``.
        labels: Their classes, shape ``(P,)``.
        scores: Their scores, shape ``(P,)``.
        true_corners: Truths, shape ``(T, 4, 2)``.
        true_labels: Their classes, shape ``(T,)``.

    Returns:
        Per class that occurs an outcome with hits of shape ``(P_class, 10)``.
    """
    iou = polygon_iou(corners, true_corners)
    outcomes = {}
    for label in np.union1d(labels, true_labels).astype(int).tolist():
        rows, columns = labels == label, true_labels == label
        costs = -iou[np.ix_(rows, columns)]
        matched = [match_greedy(scores[rows], costs, -limit) for limit in IOU_THRESHOLDS]
        outcomes[label] = Outcome(scores[rows], np.stack(matched, 1) >= 0, int(columns.sum()))
    return outcomes


def mean_average_precision(outcomes: Sequence[dict[int, Outcome]]) -> float:
    """Mean over IoU thresholds and over the classes that have truths, precision as in COCO.

    Args:
        outcomes: One result of :func:`match_polygons` per image.

    Returns:
        A value in [0, 1]; NaN without truths.
    """
    values = []
    for label in {label for outcome in outcomes for label in outcome}:
        whole = concatenate([outcome[label] for outcome in outcomes if label in outcome])
        if whole.num_truths:
            values += [
                average_precision(whole.scores, hits, whole.num_truths, RECALL_GRID)
                for hits in whole.hits.T
            ]
    return float(np.mean(values)) if values else float('nan')
