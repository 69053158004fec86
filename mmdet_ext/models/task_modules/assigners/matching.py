"""What ways of assignment share: where priors lie, how many an object gets, the result."""

import torch
from mmdet.models.task_modules.assigners import AssignResult
from torch import Tensor


def inside_boxes(points: Tensor, boxes: Tensor) -> Tensor:
    """Which points lie strictly inside which boxes.

    Args:
        points: ``x y`` in pixels, ``(N, 2)``.
        boxes: ``x1 y1 x2 y2`` in pixels, ``(G, 4)``.

    Returns:
        Shape ``(N, G)``.
    """
    points = points[:, None]
    return ((points > boxes[:, :2]) & (points < boxes[:, 2:])).all(-1)


def near_centres(priors: Tensor, boxes: Tensor, radius: float) -> Tensor:
    """Which priors lie in the centre regions of which boxes.

    Args:
        priors: ``x y stride_x stride_y`` in pixels, ``(N, 4)``.
        boxes: ``x1 y1 x2 y2`` in pixels, ``(G, 4)``.
        radius: Half the side of the square region, in strides of the prior.

    Returns:
        Shape ``(N, G)``.
    """
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return ((priors[:, None, :2] - centres).abs() < radius * priors[:, None, 2:]).all(-1)


def dynamic_counts(overlaps: Tensor, topk: int) -> Tensor:
    """How many priors each object gets: the sum of its best overlaps, at least 1.

    The dynamic k estimation of Ge et al., OTA: Optimal Transport Assignment for Object Detection,
    2021.

    Args:
        overlaps: IoU of predictions with objects, ``(N, G)``; 0 for those that do not count.
        topk: How many of the best to sum.

    Returns:
        Integers, ``(G,)``.
    """
    best = overlaps.topk(min(topk, len(overlaps)), dim=0).values
    return best.sum(0).long().clamp(min=1)


def assign_result(matched: Tensor, overlaps: Tensor, labels: Tensor) -> AssignResult:
    """Put a matching into mmdet's form.

    Args:
        matched: Index of each prior's object, -1 for background, ``(N,)``.
        overlaps: IoU of predictions with objects, ``(N, G)``.
        labels: Of the objects, ``(G,)``.

    Returns:
        The result; ``max_overlaps`` is the IoU with the assigned object, 0 for background.
    """
    positive = matched >= 0
    own = matched[positive]
    best = overlaps.new_zeros(len(matched), dtype=torch.float32)
    best[positive] = overlaps[positive, own].float()
    classes = matched.new_full((len(matched),), -1)
    classes[positive] = labels[own].long()
    return AssignResult(len(labels), matched + 1, best, labels=classes)
