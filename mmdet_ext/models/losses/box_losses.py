"""GIoU, DIoU and CIoU of boxes: torchvision's functions, finite everywhere."""

import torch
from mmdet.registry import MODELS
from torch import Tensor
from torchvision.ops import (
    complete_box_iou_loss,
    distance_box_iou_loss,
    generalized_box_iou_loss,
)

from .reduction import ReducedLoss, at_least_float32, check_same_shape

_SMALLEST = 1e-7  # torchvision's: smaller sides have no aspect ratio


def giou_losses(pred: Tensor, target: Tensor) -> Tensor:
    """1 - GIoU of pairs of boxes (Rezatofighi et al., Generalized Intersection over Union, 2019).

    A box whose right or lower side comes before the other is taken as one of size zero about its centre.

    Args:
        pred: Boxes ``x1 y1 x2 y2``, shape ``(N, 4)``, finite.
        target: Likewise.

    Returns:
        Shape ``(N,)``, in [0, 2].
    """
    return generalized_box_iou_loss(*_proper_pair(pred, target))


def diou_losses(pred: Tensor, target: Tensor) -> Tensor:
    """1 - DIoU of pairs of boxes (Zheng et al., Distance-IoU Loss, 2020).

    Args:
        pred: As for :func:`giou_losses`.
        target: Likewise.

    Returns:
        Shape ``(N,)``, in [0, 2].
    """
    return distance_box_iou_loss(*_proper_pair(pred, target))


def ciou_losses(pred: Tensor, target: Tensor) -> Tensor:
    """1 - CIoU of pairs of boxes (Zheng et al., Distance-IoU Loss, 2020).

    A box with a side of zero has no aspect ratio, so that only the terms of DIoU are left.

    Args:
        pred: As for :func:`giou_losses`.
        target: Likewise.

    Returns:
        Shape ``(N,)``, in [0, 3].
    """
    pred, target = _proper_pair(pred, target)
    sides = torch.cat([pred[:, 2:] - pred[:, :2], target[:, 2:] - target[:, :2]], 1)
    has_aspect = (sides > _SMALLEST).all(1)
    unit = pred.new_tensor([0, 0, 1, 1])
    complete = complete_box_iou_loss(
        torch.where(has_aspect[:, None], pred, unit), torch.where(has_aspect[:, None], target, unit)
    )
    return torch.where(has_aspect, complete, distance_box_iou_loss(pred, target))


class _BoxLoss(ReducedLoss):
    function = None

    def item_losses(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss of each pair of boxes: ``(N,)``."""
        check_same_shape(type(self).__name__, pred, target, last=4)
        return type(self).function(pred, target)


@MODELS.register_module()
class TorchvisionGIoULoss(_BoxLoss):
    """1 - GIoU of boxes ``(N, 4)``; see :func:`giou_losses`.

    Heads that predict offsets need ``reg_decoded_bbox=True`` for it.

    Args:
        reduction: ``none``, ``mean`` or ``sum``.
        loss_weight: Factor of the loss.
    """

    function = staticmethod(giou_losses)


@MODELS.register_module()
class TorchvisionDIoULoss(_BoxLoss):
    """1 - DIoU of boxes ``(N, 4)``; see :func:`diou_losses`.

    Heads that predict offsets need ``reg_decoded_bbox=True`` for it.

    Args:
        reduction: ``none``, ``mean`` or ``sum``.
        loss_weight: Factor of the loss.
    """

    function = staticmethod(diou_losses)


@MODELS.register_module()
class TorchvisionCIoULoss(_BoxLoss):
    """1 - CIoU of boxes ``(N, 4)``; see :func:`ciou_losses`.

    Unlike mmdet's ``CIoULoss`` it is finite on an exact match, and its aspect term counts at any overlap,
    as in the paper. Heads that predict offsets need ``reg_decoded_bbox=True`` for it.

    Args:
        reduction: ``none``, ``mean`` or ``sum``.
        loss_weight: Factor of the loss.
    """

    function = staticmethod(ciou_losses)


def _proper_pair(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    return _proper(at_least_float32(pred)), _proper(at_least_float32(target))


def _proper(boxes: Tensor) -> Tensor:
    """Boxes of negative size shrunk to their centre; the gradient passes, so that they can recover."""
    excess = ((boxes[:, :2] - boxes[:, 2:]) / 2).clamp(min=0).detach()
    return boxes + torch.cat([-excess, excess], 1)
