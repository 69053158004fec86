"""Overlap of quadrilaterals and the COCO-style mean average precision over it."""

import numpy as np
import shapely

from mmdet_ext.evaluation.functional.matching import match_greedy
from mmdet_ext.evaluation.functional.outcomes import Outcome, select
from mmdet_ext.evaluation.functional.pairs import pairs_within
from mmdet_ext.evaluation.functional.precision_recall import (
    IOU_THRESHOLDS,
    RECALL_GRID,
    average_precision,
)


def polygons_of(corners: np.ndarray) -> np.ndarray:
    """Valid shapely polygons of quadrilaterals, empty where a corner is not finite.

    Args:
        corners: Shape ``(N, 4, 2)``; edges may cross.

    Returns:
        Shape ``(N,)``.
    """
    finite = np.isfinite(corners).all((1, 2))
    polygons = np.full(len(corners), shapely.Polygon())
    polygons[finite] = shapely.polygons(corners[finite])
    crossed = ~shapely.is_valid(polygons)
    polygons[crossed] = shapely.make_valid(polygons[crossed])
    return polygons


def polygon_iou(polygons: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of shapely polygons, 0 without any area; shapes broadcast."""
    common = shapely.area(shapely.intersection(polygons, others))
    whole = shapely.area(polygons) + shapely.area(others) - common
    return common / np.where(whole > 0, whole, 1)


def match_polygons(
    corners: np.ndarray,
    labels: np.ndarray,
    images: np.ndarray,
    true_corners: np.ndarray,
    true_labels: np.ndarray,
    true_images: np.ndarray,
    scores: np.ndarray,
) -> Outcome:
    """Match quadrilaterals within each image and class at :data:`IOU_THRESHOLDS`.

    Args:
        corners: Predictions, shape ``(P, 4, 2)``.
        labels: Their classes, shape ``(P,)``.
        images: Their images, ascending, shape ``(P,)``.
        true_corners: Truths, shape ``(T, 4, 2)``.
        true_labels: Their classes, shape ``(T,)``.
        true_images: Their images, ascending, shape ``(T,)``.
        scores: Scores of the predictions, shape ``(P,)``.

    Returns:
        Outcome with hits of shape ``(P, 10)`` and, also of the truths, ``label`` and ``image``.
    """
    low, high = corners.min(1), corners.max(1)
    true_low, true_high = true_corners.min(1), true_corners.max(1)
    polygons, true_polygons = polygons_of(corners), polygons_of(true_corners)
    areas, true_areas = shapely.area(polygons), shapely.area(true_polygons)

    def least_cost(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Minus the most that the IoU can be by boxes and areas: spares most of the polygons."""
        sides = np.minimum(high[rows], true_high[columns]) - np.maximum(
            low[rows], true_low[columns]
        )
        common = np.minimum(areas[rows], true_areas[columns])
        common = np.minimum(common, sides.clip(0).prod(-1))
        whole = areas[rows] + true_areas[columns] - common
        most = common / np.where(whole > 0, whole, 1)
        return np.where(labels[rows] == true_labels[columns], -most, np.inf)

    pairs = pairs_within(images, true_images, least_cost, -IOU_THRESHOLDS[0])
    pairs.costs = -polygon_iou(polygons[pairs.rows], true_polygons[pairs.columns])
    matched = [match_greedy(scores, pairs.select(pairs.costs <= -iou)) for iou in IOU_THRESHOLDS]
    return Outcome(
        scores,
        np.stack(matched, axis=1) >= 0,
        len(true_corners),
        {'label': labels, 'image': images},
        {'label': true_labels, 'image': true_images},
    )


def mean_average_precision(outcome: Outcome) -> float:
    """Mean over IoU thresholds and over the classes that have truths, precision as in COCO.

    Args:
        outcome: Of :func:`match_polygons`, or a part of it.

    Returns:
        A value in [0, 1]; NaN without truths.
    """
    values = []
    for label in np.unique(outcome.truth_values['label']):
        part = select(outcome, 'label', lambda labels, label=label: labels == label)
        values += [
            average_precision(part.scores, hits, part.num_truths, RECALL_GRID)
            for hits in part.hits.T
        ]
    return float(np.mean(values)) if values else float('nan')
