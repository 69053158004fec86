"""Cutting out and resizing a picture with all its labels, exactly."""

import cv2
import numpy as np

from .labels import (
    centred,
    drop_slots_outside,
    keep_instances,
    move_keypoints,
    move_slots,
    record_map,
    translation,
)

_RESIZABLE = ('uint8', 'uint16', 'int16', 'float32', 'float64')


def crop_results(results: dict, box: tuple[int, int, int, int]) -> None:
    """Cut a part out of the image, with all labels.

    Boxes are clipped, those of which nothing is left are dropped with their masks and keypoints.
    Keypoints outside become invisible. Marking points outside are dropped with the slots' links to
    them; a slot stays, with corners outside, while the midpoint of its entrance is inside.

    Args:
        results: Pipeline results, changed.
        box: Edges ``x1 y1 x2 y2`` in pixels, inside the image.
    """
    x1, y1, x2, y2 = box
    results['img'] = results['img'][y1:y2, x1:x2]
    results['img_shape'] = (y2 - y1, x2 - x1)
    if results.get('gt_seg_map') is not None:
        results['gt_seg_map'] = results['gt_seg_map'][y1:y2, x1:x2]
    if results.get('gt_bboxes') is not None:
        boxes = results['gt_bboxes']
        boxes.translate_([-x1, -y1])
        boxes.clip_(results['img_shape'])
        keep_instances(results, (boxes.areas > 0).numpy())
    if results.get('gt_masks') is not None:
        results['gt_masks'] = results['gt_masks'].crop(np.array(box))
    matrix = translation(-x1, -y1)
    move_keypoints(results, matrix)
    move_slots(results, matrix)
    drop_slots_outside(results, (0, 0, x2 - x1, y2 - y1))
    record_map(results, matrix)


def resize_results(results: dict, size: tuple[int, int]) -> None:
    """Stretch the image to a size, with all labels.

    Args:
        results: Pipeline results, changed.
        size: Width and height in pixels.

    Raises:
        ValueError: OpenCV cannot resize pixels of this type.
    """
    height, width = results['img'].shape[:2]
    factors = (size[0] / width, size[1] / height)
    results['img'] = resize_image(results['img'], size)
    results['img_shape'] = tuple(size[::-1])
    results['scale_factor'] = factors
    if results.get('gt_seg_map') is not None:
        seg_map = results['gt_seg_map']
        results['gt_seg_map'] = cv2.resize(seg_map, size, interpolation=cv2.INTER_NEAREST_EXACT)
    if results.get('gt_bboxes') is not None:
        results['gt_bboxes'].rescale_(factors)
    if results.get('gt_masks') is not None:
        results['gt_masks'] = results['gt_masks'].resize(results['img_shape'])
    matrix = np.diag([*factors, 1.0])
    move_keypoints(results, matrix)
    move_slots(results, centred(matrix))
    record_map(results, matrix)


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Stretch an image to a size, bilinearly.

    Args:
        image: Shape ``(H, W)`` or ``(H, W, C)``.
        size: Width and height in pixels.

    Returns:
        Shape ``(size[1], size[0])`` or ``(size[1], size[0], C)``, of the same type.

    Raises:
        ValueError: OpenCV cannot resize pixels of this type.
    """
    if image.dtype.name not in _RESIZABLE:
        raise ValueError(
            f'the image has pixels of {image.dtype}, which OpenCV cannot resize: convert it to one of '
            f'{", ".join(_RESIZABLE)} when it is loaded.'
        )
    resized = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return resized.reshape(*resized.shape[:2], *image.shape[2:])  # OpenCV drops a single channel
