"""Exact labels of a scene: where its marking points and slots appear, and what hides them."""

import numpy as np

from mmdet_ext.datasets.formats.parking_slot_coco import (
    HIDDEN,
    SLOT_TYPES,
    VISIBLE,
    ParkingImage,
)
from mmdet_ext.datasets.surround_view.layout import Layout
from mmdet_ext.datasets.surround_view.objects import Placed
from mmdet_ext.datasets.surround_view.rig import Rig
from mmdet_ext.datasets.surround_view.rows import Row
from mmdet_ext.datasets.surround_view.view import View

_STEP = 0.25  # metres along a direction to see how calibration errors turn it
_LOST = (
    0.5  # metres: a corner carried farther by calibration errors is beyond what its camera knows
)


def make_labels(
    layout: Layout,
    objects: list[Placed],
    view: View,
    rig: Rig | None,
    hidden: np.ndarray,
    tags: dict[str, str],
) -> ParkingImage:
    """Labels of a scene.

    A marking point is labelled if it is in the image and nothing hides it; a slot if both entrance corners
    are in the image and at least one of them is not hidden.

    Args:
        layout: Where things are.
        objects: What stands on the ground.
        view: The surround view.
        rig: Its cameras; None for an ideal view.
        hidden: 255 where something with height or the ego car is seen, ``(height, width)``.
        tags: State of the scene by name; ``light`` becomes the condition.

    Returns:
        The labels, in pixels; ``file_name`` empty.
    """
    record = ParkingImage(
        '',
        view.width,
        view.height,
        metres_per_pixel=round(view.metres_per_pixel, 6),
        condition=tags['light'],
        tags=tags,
    )
    taken = {placed.slot for placed in objects}
    for i, row in enumerate(layout.rows):
        occupied = np.array([(i, j) in taken for j in range(row.count)], np.int64)
        for name, values in _row_labels(
            row, occupied, view, rig, hidden, len(record.points)
        ).items():
            setattr(record, name, np.concatenate([getattr(record, name), values]))
    return record


def _row_labels(
    row: Row, occupied: np.ndarray, view: View, rig: Rig | None, hidden: np.ndarray, first: int
) -> dict[str, np.ndarray]:
    seen, camera = _appear(row.junctions, rig)
    inside = view.depth_inside(seen) > 0
    points = inside & ~_is_hidden(seen, view, hidden)
    ends = row.slot_junctions
    slots = inside[ends].all(1) & points[ends].any(1)
    corners = np.concatenate([seen[ends], _rear(row, seen, camera, rig)], 1)[slots]
    outside = view.depth_inside(corners) <= 0
    rows = np.where(points, np.cumsum(points) - 1 + first, -1)
    return {
        'points': view.to_pixels(seen[points]),
        'directions': _turned(row.junctions, row.directions, camera, rig)[points],
        'shapes': row.shapes[points],
        'corners': view.to_pixels(corners),
        'corner_visible': np.where(outside | _is_hidden(corners, view, hidden), HIDDEN, VISIBLE),
        'slot_types': np.full(slots.sum(), SLOT_TYPES.index(row.slot_type)),
        'occupied': occupied[slots],
        'slot_points': rows[ends][slots],
    }


def _appear(points: np.ndarray, rig: Rig | None) -> tuple[np.ndarray, np.ndarray | None]:
    return (points, None) if rig is None else rig.seen_at(points)


def _rear(row: Row, seen: np.ndarray, camera: np.ndarray, rig: Rig | None) -> np.ndarray:
    """Rear corners p3, p4 as they appear, ``(n, 2, 2)``; lost ones move with their entrance corner."""
    rear, ends = row.corners[:, 2:], row.slot_junctions[:, ::-1]
    if rig is None:
        return rear
    appears = rig.seen_at(rear.reshape(-1, 2), camera[ends].ravel())[0].reshape(rear.shape)
    lost = np.linalg.norm(appears - rear, axis=-1, keepdims=True) > _LOST
    return np.where(lost, rear + (seen - row.junctions)[ends], appears)


def _turned(
    points: np.ndarray, directions: np.ndarray, camera: np.ndarray | None, rig: Rig | None
) -> np.ndarray:
    """Directions as they appear: unit vectors ``(N, 2)``."""
    if rig is None:
        return directions
    step = rig.seen_at(points + _STEP * directions, camera)[0] - rig.seen_at(points, camera)[0]
    return step / np.linalg.norm(step, axis=-1, keepdims=True)


def _is_hidden(points: np.ndarray, view: View, hidden: np.ndarray) -> np.ndarray:
    """Whether something is in front of points ``(..., 2)`` in metres, ``(...)``."""
    x, y = np.moveaxis(np.round(view.to_pixels(points)).astype(int), -1, 0)
    return hidden[np.clip(y, 0, view.height - 1), np.clip(x, 0, view.width - 1)] > 127
