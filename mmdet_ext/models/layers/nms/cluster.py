"""Cluster-NMS and its variants."""

from functools import partial

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

_SIGMA = 0.2  # of the score penalty, as the paper's code has it
_WEIGHT_IOU = 0.8  # boxes that overlap by more are averaged


def cluster_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    iou_threshold: float = 0.5,
    beta: float | None = None,
    score_penalty: bool = False,
    weighted: bool = False,
    min_score: float = 0.01,
) -> tuple[Tensor, Tensor]:
    """Non-maximum suppression as the fixed point of matrix operations, and what that makes easy.

    Zheng, Wang, Ren, Liu, Ye, Hu and Zuo: Enhancing Geometric Factors in Model Learning and Inference
    for Object Detection and Instance Segmentation, IEEE Transactions on Cybernetics 2021,
    arXiv:2005.03572.

    With none of the options the result is exactly that of NMS. The paper's Cluster-NMS_S is
    ``score_penalty``, _D ``beta``, _W ``weighted``, and these combine:

    * ``beta``: IoU less ``(d^2 / c^2)^beta`` is compared with the threshold, as in :func:`diou_nms`.
    * ``score_penalty``: no box is removed; its score is multiplied by ``exp(-IoU^2 / 0.2)`` for each
      better box that NMS keeps, and with ``beta`` by ``min(1, exp(-IoU^2 / 0.2) + (d^2 / c^2)^beta)``
      (NMS being by plain IoU then) if they overlap. What falls below ``min_score`` is dropped.
    * ``weighted``: a box that NMS keeps becomes the mean of it and the worse boxes of its class with
      ``IoU > 0.8``, weighted by score and IoU.

    Args:
        boxes: ``x1, y1, x2, y2``, shape ``(N, 4)``.
        scores: At least 0 with ``score_penalty`` or ``weighted``, shape ``(N,)``.
        labels: Class of each, shape ``(N,)``.
        iou_threshold: From 0 to 1.
        beta: Exponent of the distance between centres, greater than 0; None: distances do not count.
            The paper's code takes 0.9, and 0.6 with the score penalty.
        score_penalty: Decay scores instead of removing boxes.
        weighted: Return mean boxes.
        min_score: Of ``score_penalty``.

    Returns:
        Boxes and scores ``(K, 5)``, best first, and the position of each in the input, ``(K,)``.

    Raises:
        ValueError: An option or a shape does not fit, or a score that weights is negative.
    """
    check_range('cluster_nms', 'iou_threshold', iou_threshold, 0, 1)
    check_range('cluster_nms', 'min_score', min_score, 0, 1)
    if beta is not None:
        check_range('cluster_nms', 'beta', beta, 1e-6, 1e6)

    by_distance = beta is not None and not score_penalty

    def select(block: Block) -> Selection:
        if score_penalty or weighted:
            check_weights('cluster_nms', block.scores)
        overlaps = Overlaps(block.boxes)
        measure = partial(overlaps.diou, beta=beta) if by_distance else overlaps.iou
        stays = keep = suppress(block, measure, overlaps, iou_threshold)
        decayed = means = None
        if score_penalty:
            decayed = block.scores * _penalty(block, keep, overlaps, beta)
            stays = block.filled & (decayed >= min_score)
        if weighted:
            means = _means(block, keep, overlaps, block.scores if decayed is None else decayed)
        return Selection(stays, decayed, means)

    return class_aware_nms(boxes, scores, labels, select)


def _penalty(block: Block, keep: Tensor, overlaps: Overlaps, beta: float | None) -> Tensor:
    penalty = torch.ones_like(block.scores)
    for places, present, found in kept_overlaps(block, keep, overlaps):
        factors = found.square_().div_(-_SIGMA).exp_()
        if beta is not None:
            boxes = block.boxes.gather(2, places.expand(5, -1, -1))
            factors.add_(overlaps.centre_distance(boxes, block.boxes, beta)).clamp_(max=1)
        factors[~(present[..., None] & _worse(places, keep))] = 1
        penalty *= factors.prod(1)
    return penalty


def _means(block: Block, keep: Tensor, overlaps: Overlaps, scores: Tensor) -> Tensor:
    means = block.boxes[:4].clone()
    for places, present, found in kept_overlaps(block, keep, overlaps):
        weights = found.mul_((found > _WEIGHT_IOU) & _worse(places, keep))
        weights.scatter_(2, places[..., None], 1).mul_(scores[:, None])
        replaced(means, places, present, weighted_mean(weights, block))
    return means


def _worse(places: Tensor, keep: Tensor) -> Tensor:
    """Which boxes come after those at some places, shape ``(B, R, n)``."""
    return torch.arange(keep.shape[1], device=keep.device) > places[..., None]
