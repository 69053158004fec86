"""Loading of images and labels."""

from pathlib import Path

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from mmdet_ext.structures.marking_points import L_SHAPE, order_arms, rotate_quarter, unit
from mmdet_ext.structures.slots import separator

_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'
_PNG_START, _PNG_END = b'\x89PNG', b'IEND'


@TRANSFORMS.register_module()
class LoadParkingSlotImage(BaseTransform):
    """Read an image as BGR and check it against its labels.

    Beyond mmcv's ``LoadImageFromFile`` it refuses truncated files, which OpenCV fills with grey
    in silence, and images whose size is not the one that the labels were made on.

    Required keys: ``img_path``, and ``width``, ``height`` where labels exist.
    Added keys: ``img`` (H, W, 3) uint8, ``img_shape``, ``ori_shape`` (H, W).

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: The file is unreadable, truncated or of another size.
    """

    def transform(self, results: dict) -> dict:
        """Add the image to ``results``."""
        image = read_image(results['img_path'])
        height, width = image.shape[:2]
        labelled = (results.get('width', width), results.get('height', height))
        if labelled != (width, height):
            raise ValueError(
                f'{results["img_path"]}: the image is {width} x {height} pixels, its labels were made on '
                f'{labelled[0]} x {labelled[1]}; convert the labels or use the original image.'
            )
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = (height, width)
        return results


def read_image(path: str | Path) -> np.ndarray:
    """Read an image file as BGR.

    Args:
        path: The file.

    Returns:
        Shape ``(H, W, 3)``, uint8.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: The file is unreadable or truncated.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'Image {path} not found; check `data_prefix` and `file_name` of the labels.'
        ) from error
    cut = (content.startswith(_JPEG_START) and _JPEG_END not in content[-4096:]) or (
        content.startswith(_PNG_START) and _PNG_END not in content[-4096:]
    )
    image = None
    if content and not cut:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        state = 'is truncated' if cut else 'cannot be decoded as an image'
        raise ValueError(
            f'{path} ({len(content)} bytes) {state}; copy the file again or remove it from the labels.'
        )
    return image


@TRANSFORMS.register_module()
class LoadParkingSlotAnnotations(BaseTransform):
    """Turn the record of :class:`ParkingSlotDataset` into arrays.

    Added keys (N points, M slots, all in pixels):
        - ``gt_points`` (N, 2), ``gt_shapes`` (N,), ``gt_directions`` (N, 2),
          ``gt_has_direction`` (N,), ``gt_second_arms`` (N, 2): the other arm of L marks.
        - ``gt_corners`` (M, 4, 2), ``gt_bboxes_labels`` (M,), ``gt_occupied`` (M,),
          ``gt_slot_points`` (M, 2): rows of ``gt_points``, -1 for none.
    """

    def transform(self, results: dict) -> dict:
        """Add the labels to ``results``."""
        record = results['parking']
        known = ~np.isnan(record['directions']).any(-1)
        directions = np.where(known[:, None], record['directions'], 0)
        results['gt_points'] = record['points'].copy()
        results['gt_shapes'] = record['shapes'].copy()
        results['gt_directions'] = unit(directions)
        results['gt_has_direction'] = known
        results['gt_corners'] = record['corners'].copy()
        results['gt_occupied'] = record['occupied'].copy()
        results['gt_slot_points'] = record['slot_points'].copy()
        results['gt_second_arms'] = second_arms(
            results['gt_directions'], record['shapes'], record['corners'], record['slot_points']
        )
        results['gt_bboxes_labels'] = record['slot_types'].copy()
        return results


def second_arms(
    directions: np.ndarray, shapes: np.ndarray, corners: np.ndarray, slot_points: np.ndarray
) -> np.ndarray:
    """Second arms of L marks: read off the slot that hangs on the mark, else a right angle.

    Args:
        directions: Unit vectors, ``(N, 2)``.
        shapes: Labels in ``SHAPES``, ``(N,)``.
        corners: Slots, ``(M, 4, 2)``.
        slot_points: Rows of the points at p1 and p2, ``(M, 2)``, -1 for none.

    Returns:
        Unit vectors, ``(N, 2)``; zero where the direction is unknown.
    """
    result = rotate_quarter(directions)
    for quad, rows in zip(corners, slot_points, strict=True):
        along, _ = separator(quad)
        for row, entrance in zip(rows, (quad[1] - quad[0], quad[0] - quad[1]), strict=True):
            if row >= 0 and shapes[row] == L_SHAPE and directions[row].any():
                first, second = order_arms(along, unit(entrance))
                result[row] = second if first @ directions[row] > 0 else result[row]
    return result
