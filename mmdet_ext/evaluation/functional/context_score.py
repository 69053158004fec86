"""How well one quadrilateral covers another, as the context-based detector is judged."""

import numpy as np
import shapely


def context_scores(corners: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Score of predicted slots with truths, pair by pair.

    The ratio of the smaller to the larger area, times how far the prediction stays inside the
    truth: of its corners that stick out, the least ratio of the way from its centre (the mean of
    the corners) to the truth's edge to the way to the corner. The score is 0 if the centre is not
    inside the truth. After Do & Choi, Context-Based Parking Slot Detection With a Realistic
    Dataset, 2020.

    Args:
        corners: Predictions, shape ``(K, 4, 2)``; the score of one that is not finite is 0.
        others: Truths, shape ``(K, 4, 2)``.

    Returns:
        Values in [0, 1], shape ``(K,)``.
    """
    scores, centres = np.zeros(len(corners)), corners.mean(1)
    low, high = others.min(1), others.max(1)
    boxed = np.flatnonzero(((low < centres) & (centres < high)).all(-1))  # spares polygons
    polygons = shapely.polygons(others[boxed])
    inside = shapely.contains_xy(polygons, *centres[boxed].T)
    polygons, rows = polygons[inside, None], boxed[inside]
    corners, others, centres = corners[rows], others[rows], centres[rows]
    areas = np.stack([_areas(corners), _areas(others)])
    ratio = areas.min(0) / np.where(areas.max(0) > 0, areas.max(0), 1)
    inside = shapely.contains_xy(polygons, corners[..., 0], corners[..., 1])
    reach = np.where(inside, 1, _reach(centres, corners, others))
    scores[rows] = ratio * reach.min(1)
    return scores


def _areas(corners: np.ndarray) -> np.ndarray:
    following = np.roll(corners, -1, axis=1)
    return np.abs(_cross(corners, following).sum(1)) / 2


def _cross(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    return vectors[..., 0] * others[..., 1] - vectors[..., 1] * others[..., 0]


def _reach(centres: np.ndarray, corners: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Part of the way from centre to corner at the first crossing of an edge, ``(K, 4)``, 1 if none."""
    way = (corners - centres[:, None])[:, :, None]
    start = others[:, None]
    edge = np.roll(others, -1, axis=1)[:, None] - start
    gap = start - centres[:, None, None]
    turn = _cross(way, edge)
    turn = np.where(turn == 0, np.nan, turn)  # parallel: no crossing
    part, along = _cross(gap, edge) / turn, _cross(gap, way) / turn
    slack = 1e-9  # rounding where the way runs through a corner
    crosses = (part >= 0) & (part <= 1) & (along >= -slack) & (along <= 1 + slack)
    return np.where(crosses, part, 1).min(2)
