"""How far matched boxes are off."""

import numpy as np

from mmdet_ext.evaluation.functional.detection_matching import Matches
from mmdet_ext.evaluation.functional.detections import Overlaps


def localisation_errors(boxes: np.ndarray, true_boxes: np.ndarray) -> dict[str, np.ndarray]:
    """Compare boxes with the truths they are matched with.

    Args:
        boxes: ``x1 y1 x2 y2`` in pixels, ``(N, 4)``.
        true_boxes: Likewise, of positive width and height.

    Returns:
        ``centre_offset`` in pixels, ``relative_offset`` (over the square root of the true area),
        ``width_ratio`` and ``height_ratio`` (predicted over true), each ``(N,)``.
    """
    size, true_size = boxes[:, 2:] - boxes[:, :2], true_boxes[:, 2:] - true_boxes[:, :2]
    offset = np.linalg.norm((boxes[:, :2] + size / 2) - (true_boxes[:, :2] + true_size / 2), axis=1)
    ratio = size / true_size
    return {
        'centre_offset': offset,
        'relative_offset': offset / np.sqrt(true_size.prod(1)),
        'width_ratio': ratio[:, 0],
        'height_ratio': ratio[:, 1],
    }


def matched_iou(matches: Matches, overlaps: Overlaps) -> np.ndarray:
    """IoU of each prediction with its truth, ``(P,)``; NaN for those without."""
    iou = np.full(len(matches.truths), np.nan)
    mine = matches.truths[overlaps.detections] == overlaps.truths
    iou[overlaps.detections[mine]] = overlaps.iou[mine]
    return iou
