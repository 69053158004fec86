"""What a data pipeline's results hold, drawn: at any stage, before and after packing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from mmdet.structures.bbox import BaseBoxes
from mmdet.visualization.palette import get_palette
from torch import Tensor

from mmdet_ext.structures.slots import transform_points

from .boxes import draw_boxes, draw_masks, draw_texts
from .drawing import (
    ENTRANCE_COLOUR,
    HIDDEN_COLOUR,
    POINT_COLOUR,
    draw_hidden_corners,
    draw_points,
    draw_signs,
    draw_slots,
)
from .lettering import FREE_COLOUR, OCCUPIED_COLOUR

IGNORED_COLOUR = (150, 150, 150)  # RGB
SLOT_BOX_COLOUR = (210, 210, 210)
_NORMALISED = 16  # no image of 0-255 has values as small as that throughout

_INSTANCE_KEYS = {
    'gt_bboxes': 'bboxes',
    'gt_bboxes_labels': 'labels',
    'gt_masks': 'masks',
    'gt_corners': 'corners',
    'gt_occupied': 'occupied',
}
_POINT_KEYS = {'gt_points': 'points', 'gt_directions': 'directions', 'gt_shapes': 'shapes'}


def _empty(*shape: int, dtype=np.float64):
    return field(default_factory=lambda: np.zeros((0, *shape), dtype))


@dataclass
class Labels:
    """Labels of one picture, in its pixels.

    Attributes:
        boxes: ``x1 y1 x2 y2``, ``(K, 4)``.
        box_labels: Classes, ``(K,)``.
        ignored: Boxes that training and evaluation leave out, ``(K,)``, bool.
        masks: Shape ``(K, H, W)``, or ``(0, 0, 0)`` without masks.
        corners: Slots p1..p4, ``(M, 4, 2)``.
        slot_types: Classes, ``(M,)``.
        occupied: 1, 0 or -1 unknown, ``(M,)``.
        hidden: Corners that cannot be seen, ``(M, 4)``, bool, or ``(0, 4)`` where that is unknown.
        points: Marking points, ``(N, 2)``.
        directions: Unit vectors, zero where unknown, ``(N, 2)``.
        shapes: Labels in ``SHAPES``, -1 unknown, ``(N,)``.
    """

    boxes: np.ndarray = _empty(4)
    box_labels: np.ndarray = _empty(dtype=np.int64)
    ignored: np.ndarray = _empty(dtype=bool)
    masks: np.ndarray = _empty(0, 0, dtype=np.uint8)
    corners: np.ndarray = _empty(4, 2)
    slot_types: np.ndarray = _empty(dtype=np.int64)
    occupied: np.ndarray = _empty(dtype=np.int64)
    hidden: np.ndarray = _empty(4, dtype=bool)
    points: np.ndarray = _empty(2)
    directions: np.ndarray = _empty(2)
    shapes: np.ndarray = _empty(dtype=np.int64)

    def counts(self) -> str:
        """What there is, such as ``2 slots, 1 point``; empty without labels."""
        boxes = 0 if len(self.corners) else len(self.boxes)
        found = (
            (len(self.corners), 'slot', 'slots'),
            (len(self.points), 'point', 'points'),
            (boxes, 'box', 'boxes'),
            (len(self.masks), 'mask', 'masks'),
        )
        return ', '.join(f'{n} {one if n == 1 else several}' for n, one, several in found if n)


def variants_of(results: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Split what ``MultiBranch`` and ``TestTimeAug`` give into its pictures.

    Args:
        results: Results of a pipeline or of one of its stages.

    Returns:
        Results of each branch by its name, of each variant by its number from 1; of any other
        pipeline the results themselves under the name ``''``.
    """
    inputs = results.get('inputs', results.get('img'))
    if isinstance(inputs, Mapping):
        names = {name: name for name in inputs if inputs[name] is not None}
    elif isinstance(inputs, list | tuple):
        names = {str(i + 1): i for i in range(len(inputs))}
    else:
        return {'': results}
    several = {key: value for key, value in results.items() if isinstance(value, type(inputs))}
    return {
        name: {key: value[k] for key, value in several.items() if _has(value, k)}
        for name, k in names.items()
    }


def _has(values: Mapping | list | tuple, key: str | int) -> bool:
    return key in values if isinstance(values, Mapping) else key < len(values)


def image_of(results: Mapping[str, Any]) -> np.ndarray | None:
    """Picture at a stage, as one can look at it.

    Normalised pixels are stretched to the full range; of more than three channels the first three
    are taken.

    Args:
        results: Results of one picture, with ``img`` (BGR) or ``inputs``.

    Returns:
        RGB, uint8, shape ``(H, W, 3)``; None where nothing is loaded yet.
    """
    image = results.get('img')
    if image is None:
        if results.get('inputs') is None:
            return None
        image = results['inputs'].permute(1, 2, 0).numpy()
    image = image.reshape(*image.shape[:2], -1)[..., :3]
    if image.dtype != np.uint8:
        image = image.astype(np.float32)
        if image.size and np.abs(image).max() < _NORMALISED:
            image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX).reshape(image.shape)
        image = image.clip(0, 255).round().astype(np.uint8)
    if image.shape[2] < 3:
        image = image[..., :1].repeat(3, 2)
    return np.ascontiguousarray(image[..., ::-1])


def labels_of(results: Mapping[str, Any]) -> Labels:
    """Labels at a stage.

    Args:
        results: Results of one picture; before packing with ``gt_*`` keys, after it with
            ``data_samples``.

    Returns:
        Whatever kinds of label there are at this stage.
    """
    sample = results.get('data_samples')
    found = results if sample is None else _unpacked(sample)
    arrays = {key: _array(found[key]) for key in found if key.startswith('gt_')}
    labels = Labels()
    if 'gt_corners' in arrays:
        labels.corners = arrays['gt_corners'].reshape(-1, 4, 2)
        labels.slot_types = arrays['gt_bboxes_labels']
        labels.occupied = arrays['gt_occupied']
        labels.hidden = arrays.get('gt_hidden_corners', labels.hidden)
    if 'gt_points' in arrays:
        labels.points = arrays['gt_points'].reshape(-1, 2)
        labels.directions = arrays['gt_directions'].reshape(-1, 2)
        labels.shapes = arrays['gt_shapes']
    if 'gt_bboxes' in arrays:
        labels.boxes = arrays['gt_bboxes'].reshape(-1, 4)
        count = len(labels.boxes)
        labels.box_labels = arrays.get('gt_bboxes_labels', np.zeros(count, np.int64))
        labels.ignored = arrays.get('gt_ignore_flags', np.zeros(count, bool)).astype(bool)
    if 'gt_masks' in arrays:
        labels.masks = arrays['gt_masks']
    return labels


def _unpacked(sample: Any) -> dict[str, Any]:
    """What the packing steps put into a data sample, under the keys from before it."""
    found = {}
    for name, keys in (('gt_instances', _INSTANCE_KEYS), ('gt_marking_points', _POINT_KEYS)):
        instances = sample.get(name, {})
        found |= {key: instances[packed] for key, packed in keys.items() if packed in instances}
    ignored = sample.get('ignored_instances', {})
    if 'gt_bboxes' in found and len(ignored):
        kept, left_out = _array(found['gt_bboxes']), _array(ignored['bboxes'])
        found['gt_bboxes'] = np.concatenate([kept, left_out])
        found['gt_bboxes_labels'] = np.concatenate(
            [_array(found['gt_bboxes_labels']), _array(ignored['labels'])]
        )
        found['gt_ignore_flags'] = np.repeat([False, True], [len(kept), len(left_out)])
        if 'gt_masks' in found:
            masks = [found['gt_masks'], ignored['masks']]
            found['gt_masks'] = np.concatenate([_array(each) for each in masks])
    return found


def _array(value: Any) -> np.ndarray:
    if isinstance(value, BaseBoxes):
        value = value.convert_to('hbox').tensor
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if hasattr(value, 'to_ndarray'):  # mmdet's masks
        value = value.to_ndarray()
    return np.asarray(value)


def palette_of(metainfo: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """Colours of a dataset's classes, the dataset's own where it has enough of them.

    Args:
        metainfo: Of the dataset.

    Returns:
        RGB, one per class, at least one.
    """
    count = max(1, len(metainfo.get('classes') or ()))
    own = metainfo.get('palette')
    palette = own if isinstance(own, list) and len(own) >= count else get_palette('random', count)
    return [tuple(int(value) for value in colour) for colour in palette]


def draw_labels(
    image: np.ndarray, labels: Labels, metainfo: Mapping[str, Any], scale: float = 1.0
) -> np.ndarray:
    """Enlarge or shrink a picture, then draw its labels at that size.

    For slots and marking points see the functions of ``drawing``; boxes have their class.

    Args:
        image: RGB, uint8, shape ``(H, W, 3)``.
        labels: In pixels of ``image``.
        metainfo: Of the dataset, with ``classes`` and ``palette``.
        scale: Size of the drawing over that of ``image``.

    Returns:
        RGB, uint8, shape ``(round(H scale), round(W scale), 3)``.
    """
    size = np.maximum(1, np.round(np.multiply(image.shape[1::-1], scale)).astype(int))
    matrix = np.eye(3)  # the centre of the first pixel is (0, 0) in both
    matrix[[0, 1], [0, 1]] = size / image.shape[1::-1]
    matrix[:2, 2] = (matrix[[0, 1], [0, 1]] - 1) / 2
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = cv2.resize(image, size.tolist(), interpolation=shrink)
    palette = palette_of(metainfo)
    boxes = transform_points(labels.boxes.reshape(-1, 2, 2), matrix).reshape(-1, 4)
    colours = _box_colours(labels, palette)
    canvas = draw_masks(canvas, labels.masks, colours[: len(labels.masks)])
    canvas = draw_boxes(canvas, boxes, colours, 1 if len(labels.corners) else None)
    corners = transform_points(labels.corners, matrix)
    canvas = draw_slots(canvas, corners, labels.slot_types, labels.occupied, palette)
    if len(labels.hidden):
        canvas = draw_hidden_corners(canvas, corners[labels.hidden])
    points = transform_points(labels.points, matrix)
    canvas = draw_points(canvas, points, labels.directions, labels.shapes)
    canvas = draw_signs(canvas, corners, labels.occupied)
    if len(labels.corners) or not len(boxes):
        return canvas
    names = [class_name(metainfo.get('classes') or (), label) for label in labels.box_labels]
    return draw_texts(canvas, names, boxes[:, :2] - (0, 14), colours)


def _box_colours(labels: Labels, palette: list) -> list[tuple[int, int, int]]:
    if len(labels.corners):  # the slots themselves have the colours of their types
        return [SLOT_BOX_COLOUR] * len(labels.boxes)
    return [
        IGNORED_COLOUR if ignored else palette[label % len(palette)]
        for label, ignored in zip(labels.box_labels, labels.ignored, strict=True)
    ]


def class_name(classes: tuple[str, ...], label: int) -> str:
    """Name of a class, or ``class 7`` where the dataset does not have so many."""
    return classes[label] if label < len(classes) else f'class {label}'


def legend_of(
    shown: list[Labels], metainfo: Mapping[str, Any]
) -> list[tuple[str, int, tuple[int, int, int]]]:
    """What the colours of drawings mean, of what occurs in them.

    Args:
        shown: Labels drawn.
        metainfo: Of the dataset.

    Returns:
        Text, number of occurrences and colour (RGB) of each.
    """
    classes, palette = metainfo.get('classes') or (), palette_of(metainfo)
    found = [each.slot_types if len(each.corners) else each.box_labels for each in shown]
    numbers, counts = np.unique(np.concatenate([[], *found]).astype(int), return_counts=True)
    entries = [
        (class_name(classes, k), n, palette[k % len(palette)])
        for k, n in zip(numbers.tolist(), counts.tolist(), strict=True)
    ]
    occupied = np.concatenate([[], *(each.occupied for each in shown)])
    hidden = sum(int(each.hidden.sum()) for each in shown)
    points = sum(len(each.points) for each in shown)
    slot_boxes = sum(len(each.boxes) for each in shown if len(each.corners))
    point = 'marking point'
    point += ', direction' if any(each.directions.any() for each in shown) else ''
    point += ', shape' if any((each.shapes >= 0).any() for each in shown) else ''
    return entries + [
        entry
        for entry in (
            ('entrance of a slot', len(occupied), ENTRANCE_COLOUR),
            ('stripes and cross: occupied', int((occupied == 1).sum()), OCCUPIED_COLOUR),
            ('P: free', int((occupied == 0).sum()), FREE_COLOUR),
            ('cross: hidden corner', hidden, HIDDEN_COLOUR),
            (point, points, POINT_COLOUR),
            ('box of a slot', slot_boxes, SLOT_BOX_COLOUR),
            ('ignored', sum(int(each.ignored.sum()) for each in shown), IGNORED_COLOUR),
        )
        if entry[1]
    ]
