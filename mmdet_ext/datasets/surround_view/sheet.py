"""Contact sheets: many scenes of a preset in one picture, to judge them by eye."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from mmdet_ext.datasets.formats.parking_slot_coco import HIDDEN, ParkingImage
from mmdet_ext.datasets.parking_slot_dataset import ParkingSlotDataset
from mmdet_ext.datasets.surround_view.making import scene_rng
from mmdet_ext.datasets.surround_view.presets import scene_config
from mmdet_ext.datasets.surround_view.render import render_scene
from mmdet_ext.visualization.drawing import (
    HIDDEN_COLOUR,
    draw_hidden_corners,
    draw_points,
    draw_signs,
    draw_slots,
)
from mmdet_ext.visualization.montage import tile

__all__ = ['HIDDEN_COLOUR', 'contact_sheet', 'draw_labels']


def contact_sheet(
    preset: str = 'plain',
    count: int = 12,
    columns: int = 4,
    seed: int = 0,
    labels: bool = False,
    overrides: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """Picture of the first images that ``make_dataset`` gives for ``train``.

    Args:
        preset: Name in ``PRESETS``.
        count: Number of scenes.
        columns: Scenes in a row.
        seed: Seed, not negative.
        labels: Draw slots and marking points, and a cross on each hidden corner.
        overrides: Further keywords of ``scene_config``, such as ``size``.

    Returns:
        BGR, uint8, shape ``(H, W, 3)``.

    Raises:
        ValueError: A number is out of range or the preset is unknown.
    """
    for name, value, smallest in (('count', count, 1), ('columns', columns, 1), ('seed', seed, 0)):
        if value < smallest:
            raise ValueError(f'{name} is {value}; expected at least {smallest}.')
    config = scene_config(preset, **(overrides or {}))
    scenes = (render_scene(scene_rng(seed, 'train', i), config) for i in range(count))
    return tile([draw_labels(*scene) if labels else scene[0] for scene in scenes], columns)


def draw_labels(image: np.ndarray, record: ParkingImage) -> np.ndarray:
    """Draw slots and marking points, and crosses on hidden corners.

    Args:
        image: BGR, uint8, shape ``(H, W, 3)``.
        record: Its labels.

    Returns:
        A new image of the same shape.
    """
    palette = ParkingSlotDataset.METAINFO['palette']
    canvas = draw_slots(
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB),
        record.corners,
        record.slot_types,
        record.occupied,
        palette,
    )
    draw_hidden_corners(canvas, record.corners[record.corner_visible == HIDDEN])
    canvas = draw_points(canvas, record.points, np.nan_to_num(record.directions), record.shapes)
    draw_signs(canvas, record.corners, record.occupied)
    return cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR)
