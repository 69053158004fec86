"""Labels of a picture as a whole: which rows belong together, how they move, what is dropped.

Pipeline results know two kinds of label. Those of MMDetection (``gt_bboxes``, ``gt_masks``,
``gt_keypoints``, ``gt_seg_map``, ...) count pixels from the edge of the first one; marking points and
slots from its centre. Maps are given in the frame of the edges here.
"""

import numpy as np

from mmdet_ext.structures.marking_points import transform_directions
from mmdet_ext.structures.slots import transform_corners, transform_points

INSTANCE_KEYS = (
    'gt_bboxes',
    'gt_bboxes_labels',
    'gt_ignore_flags',
    'gt_masks',
    'gt_keypoints',
    'gt_instances_ids',
    'gt_corners',
    'gt_occupied',
    'gt_slot_points',
)
"""What has one row per box or slot."""

POINT_KEYS = ('gt_points', 'gt_directions', 'gt_second_arms', 'gt_shapes', 'gt_has_direction')
"""What has one row per marking point."""


def has_slots(results: dict) -> bool:
    """Whether results have the labels of :class:`LoadParkingSlotAnnotations`."""
    return 'gt_corners' in results


def keep_instances(results: dict, keep: np.ndarray) -> None:
    """Drop boxes or slots with all that belongs to them.

    Args:
        results: Pipeline results, changed.
        keep: Which ones stay, ``(M,)``, bool.
    """
    for key in INSTANCE_KEYS:
        if results.get(key) is not None:
            results[key] = results[key][keep]


def keep_points(results: dict, keep: np.ndarray) -> None:
    """Drop marking points and the slots' links to them.

    Args:
        results: Pipeline results, changed.
        keep: Which ones stay, ``(N,)``, bool.
    """
    for key in POINT_KEYS:
        results[key] = results[key][keep]
    new_rows = np.append(np.where(keep, np.cumsum(keep) - 1, -1), -1)
    results['gt_slot_points'] = new_rows[results['gt_slot_points']]


def move_slots(results: dict, matrix: np.ndarray) -> None:
    """Carry marking points and slots through an affine map; a mirroring keeps the corner order.

    Args:
        results: Pipeline results, changed; without such labels nothing happens.
        matrix: In the frame of pixel centres, ``(3, 3)``.
    """
    if not has_slots(results):
        return
    results['gt_points'] = transform_points(results['gt_points'], matrix)
    results['gt_directions'], results['gt_second_arms'] = transform_directions(
        results['gt_directions'], results['gt_second_arms'], results['gt_shapes'], matrix
    )
    results['gt_corners'] = transform_corners(results['gt_corners'], matrix)
    if np.linalg.det(matrix[:2, :2]) < 0:
        results['gt_slot_points'] = results['gt_slot_points'][:, ::-1]


def drop_slots_outside(results: dict, box: tuple[int, int, int, int]) -> None:
    """Drop marking points outside a part of the image, and slots whose entrance midpoint is.

    Args:
        results: Pipeline results, changed; without such labels nothing happens.
        box: Edges ``x1 y1 x2 y2`` of the part in pixels.
    """
    if not has_slots(results):
        return
    low, high = np.array(box[:2]) - 0.5, np.array(box[2:]) - 0.5

    def inside(points: np.ndarray) -> np.ndarray:
        return ((points >= low) & (points < high)).all(-1)

    keep_points(results, inside(results['gt_points']))
    keep_instances(results, inside(results['gt_corners'][:, :2].mean(1)))


def move_keypoints(results: dict, matrix: np.ndarray) -> None:
    """Carry keypoints through a map; those that leave the image get the visibility 0.

    Args:
        results: Pipeline results with the ``img_shape`` after the map, changed; without ``gt_keypoints``
            nothing happens.
        matrix: Affine or perspective map, ``(3, 3)``.
    """
    if results.get('gt_keypoints') is None:
        return
    keypoints = np.array(results['gt_keypoints'])
    ones = np.ones_like(keypoints[..., :1])
    moved = np.concatenate([keypoints[..., :2], ones], -1) @ np.asarray(matrix).T
    keypoints[..., :2] = moved[..., :2] / moved[..., 2:]
    inside = (keypoints[..., :2] >= 0) & (keypoints[..., :2] < results['img_shape'][1::-1])
    keypoints[..., 2] *= inside.all(-1)
    results['gt_keypoints'] = keypoints


def record_map(results: dict, matrix: np.ndarray) -> None:
    """Add a map to ``homography_matrix``, which leads from the original image to this one.

    Args:
        results: Pipeline results, changed.
        matrix: The map, ``(3, 3)``.
    """
    matrix = centred(matrix) if has_slots(results) else matrix
    before = results.get('homography_matrix')
    whole = matrix if before is None else matrix @ before
    results['homography_matrix'] = np.asarray(whole, np.float32)


def centred(matrix: np.ndarray) -> np.ndarray:
    """Return a map between pixel edges as one between pixel centres.

    Args:
        matrix: Shape ``(3, 3)``.

    Returns:
        Shape ``(3, 3)``.
    """
    return translation(-0.5, -0.5) @ matrix @ translation(0.5, 0.5)


def translation(x: float, y: float) -> np.ndarray:
    """Map that shifts by ``x`` and ``y`` pixels, ``(3, 3)``."""
    return np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])
