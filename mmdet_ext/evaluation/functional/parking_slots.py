"""Marking points and parking slots of many images, and what became of them.

Predictions and truths are flat arrays by name; ``images (P,)`` says to which image a row belongs,
ascending from 0. What is not known of a row is NaN:

- predicted points: ``points (P, 2)`` in pixels of their image, ``scores (P,)``, ``directions
  (P, 2)``, ``shapes (P,)``; true points: ``points``, ``directions``, ``shapes``.
- predicted slots: ``corners (P, 4, 2)``, ``scores (P,)``, ``labels (P,)``, ``occupied_scores
  (P,)``, ``point_scores (P, 2)``; true slots: ``corners``, ``labels``, ``occupied (T,)`` (1 or 0).

Distances are given and returned in pixels of an image that is 600 pixels high.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage
from mmdet_ext.evaluation.functional.outcomes import Outcome
from mmdet_ext.evaluation.functional.pairs import Pairs, pairs_within
from mmdet_ext.structures.slots import separator

REFERENCE_HEIGHT = 600
"""Height in pixels of the image that distances refer to."""

Rows = dict[str, np.ndarray]


@dataclass
class Frames:
    """The images that rows belong to.

    Attributes:
        sizes: Width and height in pixels, ``(I, 2)``.
        metres_per_pixel: NaN where unknown, ``(I,)``.
    """

    sizes: np.ndarray
    metres_per_pixel: np.ndarray

    @property
    def unit(self) -> np.ndarray:
        """Pixels of 600 for each pixel, ``(I,)``."""
        return REFERENCE_HEIGHT / self.sizes[:, 1]


def truths_of(images: Sequence[ParkingImage]) -> tuple[Frames, Rows, Rows]:
    """Lay the labels of images out flat.

    Args:
        images: Labels of each image, at least one.

    Returns:
        The images, their points and their slots.
    """
    frames = Frames(
        np.array([(image.width, image.height) for image in images], dtype=float),
        np.array([image.metres_per_pixel or np.nan for image in images], dtype=float),
    )

    def flat(attribute: str) -> np.ndarray:
        return np.concatenate([getattr(image, attribute) for image in images]).astype(float)

    def known(attribute: str) -> np.ndarray:
        values = flat(attribute)
        return np.where(values >= 0, values, np.nan)

    def owner(attribute: str) -> np.ndarray:
        return np.repeat(np.arange(len(images)), [len(getattr(i, attribute)) for i in images])

    points = {
        'images': owner('points'),
        'points': flat('points'),
        'directions': flat('directions'),
        'shapes': known('shapes'),
    }
    slots = {
        'images': owner('corners'),
        'corners': flat('corners'),
        'labels': flat('slot_types'),
        'occupied': known('occupied'),
    }
    return frames, points, slots


def kept_rows(rows: Rows, kept: np.ndarray) -> Rows:
    """Rows of a mask or of indices."""
    return {key: values[kept] for key, values in rows.items()}


def repeats(images: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
    """Rows that repeat an earlier one of their image in all arrays ``(P, ...)``; shape ``(P,)``."""
    flat = [a.reshape(len(a), int(np.prod(a.shape[1:]))) for a in (images, *arrays)]
    table = np.nan_to_num(np.concatenate(flat, axis=1), nan=np.finfo(float).max)  # NaN equals NaN
    repeated = np.ones(len(table), dtype=bool)
    repeated[np.unique(table, axis=0, return_index=True)[1]] = False
    return repeated


def near_points(
    predicted: Rows, truth: Rows, frames: Frames, distance: float, max_angle: float
) -> Pairs:
    """Pairs of points that are near and agree in direction and shape where those are labelled.

    Args:
        predicted: Points.
        truth: Points.
        frames: Their images.
        distance: Largest distance.
        max_angle: Largest angle between directions in degrees.

    Returns:
        The pairs with their distances.
    """

    def distances(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        gaps = predicted['points'][rows] - truth['points'][columns]
        return np.linalg.norm(gaps, axis=-1) * frames.unit[truth['images'][columns]]

    pairs = pairs_within(predicted['images'], truth['images'], distances, distance)
    directions, shapes = truth['directions'][pairs.columns], truth['shapes'][pairs.columns]
    angles = angle_between(predicted['directions'][pairs.rows], directions)
    agrees = np.isnan(directions).any(-1) | (angles <= max_angle)
    agrees &= np.isnan(shapes) | (predicted['shapes'][pairs.rows] == shapes)
    return pairs.select(agrees)


def near_slots(predicted: Rows, truth: Rows, frames: Frames, distance: float) -> Pairs:
    """Pairs of slots whose entrance corners, in order, are near.

    Args:
        predicted: Slots.
        truth: Slots.
        frames: Their images.
        distance: Largest distance of either corner.

    Returns:
        The pairs with the larger of the two distances.
    """

    def distances(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        gaps = predicted['corners'][rows, :2] - truth['corners'][columns, :2]
        return np.linalg.norm(gaps, axis=-1).max(-1) * frames.unit[truth['images'][columns]]

    return pairs_within(predicted['images'], truth['images'], distances, distance)


def angle_between(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Angle between vectors in degrees, in [0, 180]; shapes ``(..., 2)`` to ``(...)``.

    NaN where a vector is zero.
    """
    cross = vectors[..., 0] * others[..., 1] - vectors[..., 1] * others[..., 0]
    dot = (vectors * others).sum(-1)
    angle = np.degrees(np.arctan2(np.abs(cross), dot))
    return np.where((cross == 0) & (dot == 0), np.nan, angle)


def entrance_angles(corners: np.ndarray) -> np.ndarray:
    """Angle between the entrance and the mean separator in degrees; ``(M, 4, 2)`` to ``(M,)``."""
    return angle_between(corners[:, 1] - corners[:, 0], separator(corners)[0])


def point_outcome(
    predicted: Rows, truth: Rows, frames: Frames, rows: np.ndarray, columns: np.ndarray
) -> Outcome:
    """Outcome of matched marking points.

    Args:
        predicted: Points.
        truth: Points.
        frames: Their images.
        rows: Prediction of each row of the outcome, ``(R,)``.
        columns: Its truth, -1 for none, ``(R,)``.

    Returns:
        Outcome with the values ``error_px`` and, also of the truths, ``image``.
    """
    hits, images = columns >= 0, predicted['images'][rows]
    gaps = predicted['points'][rows[hits]] - truth['points'][columns[hits]]
    error = np.linalg.norm(gaps, axis=-1) * frames.unit[images[hits]]
    return Outcome(
        predicted['scores'][rows],
        hits,
        len(truth['points']),
        {'error_px': _spread(error, hits), 'image': images},
        {'image': truth['images']},
    )


def slot_outcome(
    predicted: Rows, truth: Rows, frames: Frames, rows: np.ndarray, columns: np.ndarray
) -> Outcome:
    """Outcome of matched slots.

    Args:
        predicted: Slots.
        truth: Slots.
        frames: Their images.
        rows: Prediction of each row of the outcome, ``(R,)``.
        columns: Its truth, -1 for none, ``(R,)``.

    Returns:
        Outcome with the values ``corner_error_px`` (mean of the entrance corners),
        ``rear_corner_error_px``, ``corner_error_cm`` (NaN without ``metres_per_pixel``),
        ``angle_error_deg`` (mean of both separators), ``type_accuracy`` and
        ``occupancy_accuracy``; and, also of the truths, ``image``, ``slot_type`` and
        ``ego_distance`` (:func:`ego_distances`): a match has those of its truth.
    """
    hits, images = columns >= 0, predicted['images'][rows]
    found, true = kept_rows(predicted, rows[hits]), kept_rows(truth, columns[hits])
    own = _own_figures(kept_rows(predicted, rows), frames)
    true_own = _own_figures(truth, frames)
    for name, values in own.items():
        values[hits] = true_own[name][columns[hits]]
    pair_figures = _pair_figures(found, true, frames)
    return Outcome(
        predicted['scores'][rows],
        hits,
        len(truth['corners']),
        {name: _spread(v, hits) for name, v in pair_figures.items()} | own | {'image': images},
        true_own | {'image': truth['images']},
    )


def _own_figures(slots: Rows, frames: Frames) -> Rows:
    distances = ego_distances(slots['corners'], slots['images'], frames)
    return {'slot_type': slots['labels'].copy(), 'ego_distance': distances}


def _pair_figures(found: Rows, true: Rows, frames: Frames) -> Rows:
    errors = np.linalg.norm(found['corners'] - true['corners'], axis=-1)  # pixels of the image
    unit, metres = frames.unit[true['images']], frames.metres_per_pixel[true['images']]
    separators = [
        slots['corners'][:, [3, 2]] - slots['corners'][:, [0, 1]] for slots in (found, true)
    ]
    said, occupied = found['occupied_scores'], true['occupied']
    known = np.isfinite(said) & np.isfinite(occupied)
    return {
        'corner_error_px': errors[:, :2].mean(1) * unit,
        'rear_corner_error_px': errors[:, 2:].mean(1) * unit,
        'corner_error_cm': errors[:, :2].mean(1) * 100 * metres,
        'angle_error_deg': angle_between(*separators).mean(1),
        'type_accuracy': (found['labels'] == true['labels']).astype(float),
        'occupancy_accuracy': np.where(known, (said >= 0.5) == (occupied == 1), np.nan),
    }


def ego_distances(corners: np.ndarray, images: np.ndarray, frames: Frames) -> np.ndarray:
    """Distance of the middle of the entrance from the ego car, at the centre of the image.

    Args:
        corners: Shape ``(M, 4, 2)`` in pixels of the image.
        images: Image of each slot, ``(M,)``.
        frames: The images.

    Returns:
        Metres or, without ``metres_per_pixel``, pixels of 600; shape ``(M,)``.
    """
    centres = (frames.sizes[images] - 1) / 2
    distances = np.linalg.norm(corners[:, :2].mean(1) - centres, axis=-1)
    metres = frames.metres_per_pixel[images]
    return distances * np.where(np.isfinite(metres), metres, frames.unit[images])


def _spread(values: np.ndarray, hits: np.ndarray) -> np.ndarray:
    spread = np.full(len(hits), np.nan)
    spread[hits] = values
    return spread
