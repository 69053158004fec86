"""Weighted NMS."""

import torch
from torch import Tensor

from .blocks import Block
from .overlaps import Overlaps
from .suppression import (
    Selection,
    check_range,
    check_weights,
    class_aware_nms,
    kept_overlaps,
    replaced,
    suppress,
    weighted_mean,
)

_WEIGHTS = ('score_iou', 'score')


def weighted_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    iou_threshold: float = 0.5,
    weight: str = 'score_iou',
) -> tuple[Tensor, Tensor]:
    """Non-maximum suppression that replaces each kept box by the mean of it and what it removes.

    Zhou, Li, Ning and Tang: CAD: Scale Invariant Framework for Real-Time Object Detection, ICCV
    Workshops 2017 (non-maximum weighted).

    The weight of a box is its score times its IoU with the kept one. A box that several kept ones
    overlap counts for the best of them alone, which removes it. Scores do not change.

    Args:
        boxes: ``x1, y1, x2, y2``, shape ``(N, 4)``.
        scores: At least 0, shape ``(N,)``.
        labels: Class of each, shape ``(N,)``.
        iou_threshold: From 0 to 1, where boxes stay as they are.
        weight: ``score_iou`` as in the paper, or ``score`` alone, as it is often taught.

    Returns:
        Mean boxes and scores ``(K, 5)``, best first, and the position of each in the input, ``(K,)``.

    Raises:
        ValueError: An option or a shape does not fit, or a score is negative.
    """
    check_range('weighted_nms', 'iou_threshold', iou_threshold, 0, 1)
    if weight not in _WEIGHTS:
        raise ValueError(
            f'weighted_nms: `weight` is {weight!r}: choose one of {", ".join(_WEIGHTS)}.'
        )

    def select(block: Block) -> Selection:
        check_weights('weighted_nms', block.scores)
        overlaps = Overlaps(block.boxes)
        keep = suppress(block, overlaps.iou, overlaps, iou_threshold)
        means = _means(block, keep, overlaps, iou_threshold, weight == 'score_iou')
        return Selection(keep, boxes=means)

    return class_aware_nms(boxes, scores, labels, select)


def _means(
    block: Block, keep: Tensor, overlaps: Overlaps, threshold: float, by_iou: bool
) -> Tensor:
    means, free = block.boxes[:4].clone(), block.filled & ~keep
    for places, present, found in kept_overlaps(block, keep, overlaps):
        hits = (found > threshold) & present[..., None] & free[:, None]
        best, taken = hits.byte().argmax(1, keepdim=True), hits.any(1, keepdim=True)
        weights = torch.zeros_like(found).scatter_(1, best, taken.to(found))
        free = free & ~taken[:, 0]
        if by_iou:
            weights *= found
        weights.scatter_(2, places[..., None], 1).mul_(block.scores[:, None])
        replaced(means, places, present, weighted_mean(weights, block))
    return means
