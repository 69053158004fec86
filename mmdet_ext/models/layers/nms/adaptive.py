"""Adaptive NMS."""

import torch
from torch import Tensor

from .blocks import Block
from .overlaps import Overlaps
from .suppression import Selection, check_range, class_aware_nms, kept_overlaps, suppress

_NEIGHBOUR_IOU = 0.7  # boxes that overlap by more are taken for the same object
_NEIGHBOUR_SCORE = 0.5  # of the box's own score: less sure boxes are taken for stray duplicates


def adaptive_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    iou_threshold: float = 0.5,
    density: Tensor | float | str = 'estimated',
) -> tuple[Tensor, Tensor]:
    """Non-maximum suppression with a higher threshold where objects are dense.

    Liu, Huang and Wang: Adaptive NMS: Refining Pedestrian Detection in a Crowd, CVPR 2019,
    arXiv:1904.03629.

    A box is removed if its IoU with a kept better box m of its class exceeds
    ``max(iou_threshold, density of m)``. The density of an object is its greatest IoU with another
    object; the paper's detectors predict it in a branch of their own. Stock heads do not. For them it
    can be estimated from the boxes: the greatest IoU, up to 0.7, with a box of the class that NMS at
    0.7 keeps and whose score is at least half as high. Boxes alone do not tell a neighbour from a poor
    duplicate, so that the estimate keeps more of both.

    Args:
        boxes: ``x1, y1, x2, y2``, shape ``(N, 4)``.
        scores: Shape ``(N,)``.
        labels: Class of each, shape ``(N,)``.
        iou_threshold: From 0 to 1.
        density: Of each box, shape ``(N,)`` (NaN counts as 0); a number for all; or ``'estimated'``.

    Returns:
        Boxes and scores ``(K, 5)``, best first, and the position of each in the input, ``(K,)``.

    Raises:
        ValueError: An option or a shape does not fit.
    """
    check_range('adaptive_nms', 'iou_threshold', iou_threshold, 0, 1)
    if isinstance(density, Tensor):
        if density.shape != scores.shape:
            raise ValueError(
                f'adaptive_nms: `density` has shape {tuple(density.shape)}, but there are '
                f'{len(scores)} boxes: pass one density per box.'
            )
    elif density != 'estimated':
        check_range('adaptive_nms', 'density', density, 0, 1)

    def select(block: Block) -> Selection:
        overlaps = Overlaps(block.boxes)
        limit = _density(block, density, overlaps).clamp(min=iou_threshold)
        return Selection(suppress(block, overlaps.iou, overlaps, limit))

    return class_aware_nms(boxes, scores, labels, select)


def _density(block: Block, density: Tensor | float | str, overlaps: Overlaps) -> Tensor:
    if isinstance(density, Tensor):
        return density[block.index].to(block.scores).nan_to_num(0)
    if isinstance(density, str):
        return _estimated(block, overlaps)
    return torch.full_like(block.scores, density)


def _estimated(block: Block, overlaps: Overlaps) -> Tensor:
    density = torch.zeros_like(block.scores)
    enough = _NEIGHBOUR_SCORE * block.scores[:, None]
    keep = suppress(block, overlaps.iou, overlaps, _NEIGHBOUR_IOU)
    for places, present, found in kept_overlaps(block, keep, overlaps):
        other = present[..., None] & (block.scores.gather(1, places)[..., None] >= enough)
        found.mul_(other & (found <= _NEIGHBOUR_IOU))
        density = torch.maximum(density, found.amax(1))
    return density
