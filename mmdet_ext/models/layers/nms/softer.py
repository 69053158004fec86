"""Softer-NMS: variance voting."""

import torch
from torch import Tensor

from .blocks import Block
from .overlaps import Overlaps
from .suppression import (
    Selection,
    check_range,
    class_aware_nms,
    kept_overlaps,
    replaced,
    suppress,
    weighted_mean,
)

_METHODS = ('naive', 'linear', 'gaussian')


def softer_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    iou_threshold: float = 0.5,
    variance: Tensor | float | None = None,
    sigma_t: float = 0.02,
    method: str = 'naive',
    sigma: float = 0.5,
    min_score: float = 1e-3,
) -> tuple[Tensor, Tensor]:
    """Non-maximum suppression that moves each kept box to the mean of its neighbours.

    He, Zhu, Wang, Savvides and Zhang: Bounding Box Regression with Uncertainty for Accurate Object
    Detection, CVPR 2019, arXiv:1809.08545 (first called Softer-NMS).

    Each coordinate x of a kept box b becomes ``sum_i p_i x_i / v_i / sum_i p_i / v_i`` over all boxes of
    its class with ``IoU_i > 0``, kept or not and it included, where ``p_i = exp(-(1 - IoU_i)^2 /
    sigma_t)`` and v is the predicted variance of the coordinate.

    The variance is what detectors trained with the paper's KL loss predict. A stock head has none: a
    constant makes all boxes equally certain, so that nearness alone counts.

    Args:
        boxes: ``x1, y1, x2, y2``, shape ``(N, 4)``.
        scores: Shape ``(N,)``.
        labels: Class of each, shape ``(N,)``.
        iou_threshold: From 0 to 1.
        variance: Of each coordinate, shape ``(N, 4)``, or one number for all. A box whose variance is not
            positive and finite has no vote.
        sigma_t: Reach of the vote, greater than 0. Boxes stay as they are as it goes to 0.
        method: Which boxes are kept: ``naive`` plain NMS, ``linear`` and ``gaussian`` those of
            ``mmcv.ops.soft_nms``, with its scores.
        sigma: Of ``gaussian``.
        min_score: Of ``linear`` and ``gaussian``: what decays below is dropped.

    Returns:
        Moved boxes and scores ``(K, 5)``, best first, and the position of each in the input, ``(K,)``.

    Raises:
        ValueError: An option or a shape does not fit, or there is no variance.
    """
    check_range('softer_nms', 'iou_threshold', iou_threshold, 0, 1)
    check_range('softer_nms', 'sigma_t', sigma_t, 1e-9, 1e9)
    check_range('softer_nms', 'sigma', sigma, 1e-9, 1e9)
    check_range('softer_nms', 'min_score', min_score, 0, 1)
    if method not in _METHODS:
        raise ValueError(
            f'softer_nms: `method` is {method!r}: choose one of {", ".join(_METHODS)}.'
        )
    _check_variance(variance, boxes)

    def select(block: Block) -> Selection:
        overlaps, new_scores = Overlaps(block.boxes), None
        if method == 'naive':
            keep = suppress(block, overlaps.iou, overlaps, iou_threshold)
        else:
            options = dict(sigma=sigma, min_score=min_score, method=method)
            keep, new_scores = _softened(block, dict(iou_threshold=iou_threshold, **options))
        return Selection(keep, new_scores, _voted(block, keep, overlaps, variance, sigma_t))

    return class_aware_nms(boxes, scores, labels, select)


def _check_variance(variance: Tensor | float | None, boxes: Tensor) -> None:
    if variance is None:
        raise ValueError(
            'softer_nms needs the variance of each coordinate, which this head does not predict: '
            'set `variance=1.0` in the `nms` of the test_cfg to take all boxes for equally certain, or '
            'pass the variances (N, 4) of a head that was trained with the KL loss.'
        )
    if not isinstance(variance, Tensor):
        check_range('softer_nms', 'variance', variance, 1e-9, 1e9)
    elif variance.shape != boxes.shape:
        raise ValueError(
            f'softer_nms: `variance` has shape {tuple(variance.shape)}, but the boxes have '
            f'{tuple(boxes.shape)}: pass one variance per coordinate.'
        )


def _softened(block: Block, options: dict) -> tuple[Tensor, Tensor]:
    from mmcv.ops import soft_nms  # noqa: PLC0415 (mmcv-lite has no ops; the rest needs none)

    empty = (block.boxes[2:4] <= block.boxes[:2]).any(0)  # mmcv divides their 0 by 0
    keep, scores = (
        block.filled & empty & (block.scores >= options['min_score']),
        block.scores.clone(),
    )
    for row, solid in enumerate(block.filled & ~empty):
        boxes = block.boxes[:4, row, solid].T.float().contiguous()
        dets, kept = soft_nms(boxes, block.scores[row, solid].float(), **options)
        places = solid.nonzero()[kept, 0]
        keep[row, places] = True
        scores[row, places] = dets[:, 4].to(scores)
    return keep, scores


def _voted(
    block: Block, keep: Tensor, overlaps: Overlaps, variance: Tensor | float, sigma_t: float
) -> Tensor:
    precision = None
    if isinstance(variance, Tensor):
        certain = variance[block.index].to(block.boxes)
        certain = torch.where(certain.isfinite() & (certain > 0), 1 / certain, 0)
        precision = certain * (certain > 0).all(-1, keepdim=True)
    voted = block.boxes[:4].clone()
    for places, present, found in kept_overlaps(block, keep, overlaps):
        near = found > 0
        votes = found.sub_(1).square_().div_(-sigma_t).exp_().mul_(near)
        replaced(voted, places, present, weighted_mean(votes, block, precision))
    return voted
