"""Strict matching of marking points and parking slots in one image.

Distances are given and returned in pixels of an image that is 600 pixels high.
"""

import numpy as np

from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage
from mmdet_ext.evaluation.functional.matching import match_greedy
from mmdet_ext.evaluation.functional.outcomes import Outcome
from mmdet_ext.structures.slots import entrance_distances

REFERENCE_HEIGHT = 600
"""Height in pixels of the image that distances refer to."""


def match_points(
    prediction: dict[str, np.ndarray], truth: ParkingImage, distance: float, max_angle: float
) -> Outcome:
    """Match marking points by position and, where labelled, direction and shape.

    Args:
        prediction: ``points (N, 2)`` in pixels of the image and ``scores (N,)``; ``directions
            (N, 2)`` and ``shapes (N,)`` where the truth has them.
        truth: Labels of the image.
        distance: Largest distance of a match.
        max_angle: Largest angle in degrees between directions.

    Returns:
        Outcome with the value ``error_px``.

    Raises:
        ValueError: The truth has directions or shapes and the prediction has not.
    """
    distances = np.linalg.norm(prediction['points'][:, None] - truth.points, axis=-1)
    distances *= REFERENCE_HEIGHT / truth.height
    costs = np.where(_agrees(prediction, truth, max_angle), distances, np.inf)
    matched = match_greedy(prediction['scores'], costs, distance)
    hits = matched >= 0
    error = np.full(len(hits), np.nan)
    error[hits] = distances[hits, matched[hits]]
    return Outcome(prediction['scores'], hits, len(truth.points), {'error_px': error})


def _agrees(prediction: dict[str, np.ndarray], truth: ParkingImage, max_angle: float) -> np.ndarray:
    known = {'directions': np.isfinite(truth.directions).all(-1), 'shapes': truth.shapes >= 0}
    for key, rows in known.items():
        if rows.any() and key not in prediction:
            raise ValueError(
                f'{truth.file_name}: the marking points are labelled with {key}, but '
                f'`pred_marking_points` has only {sorted(prediction)}; predict {key} or leave them '
                'out of the annotation file.'
            )
    agrees = np.ones((len(prediction['points']), len(truth.points)), dtype=bool)
    if known['directions'].any():
        angles = angle_between(prediction['directions'][:, None], truth.directions)
        agrees &= ~known['directions'] | (angles <= max_angle)
    if known['shapes'].any():
        agrees &= ~known['shapes'] | (prediction['shapes'][:, None] == truth.shapes)
    return agrees


def angle_between(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Angle between vectors in degrees, in [0, 180]; shapes ``(..., 2)`` to ``(...)``."""
    cross = vectors[..., 0] * others[..., 1] - vectors[..., 1] * others[..., 0]
    return np.degrees(np.arctan2(np.abs(cross), (vectors * others).sum(-1)))


def match_slots(
    prediction: dict[str, np.ndarray],
    truth: ParkingImage,
    distance: float,
) -> Outcome:
    """Match slots by their two entrance corners, in order; class and depth play no part.

    Args:
        prediction: ``corners (M, 4, 2)`` in pixels of the image, ``scores (M,)``, ``labels (M,)``
            and, if the model tells occupancy, ``occupied_scores (M,)``.
        truth: Labels of the image.
        distance: Largest distance of either entrance corner.

    Returns:
        Outcome with the values ``corner_error_px`` (mean of the entrance corners),
        ``rear_corner_error_px``, ``corner_error_cm`` (NaN without ``metres_per_pixel``),
        ``angle_error_deg`` (mean of both separators), ``type_accuracy`` and
        ``occupancy_accuracy`` (NaN where unlabelled).
    """
    scale = REFERENCE_HEIGHT / truth.height
    costs = entrance_distances(prediction['corners'], truth.corners) * scale
    matched = match_greedy(prediction['scores'], costs, distance)
    hits = matched >= 0
    pairs = matched[hits]
    found, true = prediction['corners'][hits], truth.corners[pairs]
    errors = np.linalg.norm(found - true, axis=-1)  # (pairs, 4), pixels of the image
    occupied = truth.occupied[pairs]
    said_occupied = prediction.get('occupied_scores', np.full(len(hits), np.nan))[hits]
    known = (occupied >= 0) & np.isfinite(said_occupied)
    values = {
        'corner_error_px': errors[:, :2].mean(1) * scale,
        'rear_corner_error_px': errors[:, 2:].mean(1) * scale,
        'corner_error_cm': errors[:, :2].mean(1) * 100 * (truth.metres_per_pixel or np.nan),
        'angle_error_deg': angle_between(_separators(found), _separators(true)).mean(1),
        'type_accuracy': (prediction['labels'][hits] == truth.slot_types[pairs]).astype(float),
        'occupancy_accuracy': np.where(known, (said_occupied >= 0.5) == (occupied == 1), np.nan),
    }
    return Outcome(
        prediction['scores'],
        hits,
        len(truth.corners),
        {name: _spread(value, hits) for name, value in values.items()},
    )


def _separators(corners: np.ndarray) -> np.ndarray:
    return corners[:, [3, 2]] - corners[:, [0, 1]]


def _spread(values: np.ndarray, hits: np.ndarray) -> np.ndarray:
    spread = np.full(len(hits), np.nan)
    spread[hits] = values
    return spread
