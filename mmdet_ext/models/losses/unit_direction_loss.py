"""Direction of 2-D vectors, with their length kept at 1."""

import torch
from mmdet.registry import MODELS
from torch import Tensor

from .reduction import ReducedLoss, at_least_float32, check_same_shape

_SHORTEST = 1e-2  # shorter vectors have gradients as if they were this long: bounded by 100


def unit_direction_losses(pred: Tensor, target: Tensor, norm_weight: float = 0.1) -> Tensor:
    """Loss ``1 - cos(angle) + norm_weight * (length - 1)^2`` of vectors.

    The second term keeps the raw vector near the unit circle, where a step turns it by a known angle;
    without it the length would drift and with it the effective learning rate.

    Args:
        pred: Vectors ``(N, D)`` of any length.
        target: Directions ``(N, D)`` of any length; where it is zero, the direction is unknown and the
            loss is zero.
        norm_weight: Weight of the second term.

    Returns:
        Shape ``(N,)``.
    """
    length = torch.linalg.vector_norm(pred, dim=-1)
    target_length = torch.linalg.vector_norm(target, dim=-1)
    known = target_length > 0
    unit = target / torch.where(known, target_length, 1)[:, None]
    cosine = (pred * unit).sum(-1) / length.clamp(min=_SHORTEST)
    return known * (1 - cosine + norm_weight * (length - 1) ** 2)


@MODELS.register_module()
class UnitDirectionLoss(ReducedLoss):
    """Direction loss ``1 - cos`` with a term that keeps the raw vector's length at 1.

    Predictions and targets are vectors ``(N, D)``; see :func:`unit_direction_losses`. Fits the slot
    ``loss_direction`` of ``PSDHead``.

    Args:
        norm_weight: Weight of the length term; 0 leaves ``1 - cos``.
        reduction: ``none``, ``mean`` or ``sum``.
        loss_weight: Factor of the loss.
    """

    def __init__(
        self, norm_weight: float = 0.1, reduction: str = 'mean', loss_weight: float = 1.0
    ) -> None:
        super().__init__(reduction, loss_weight)
        self.norm_weight = norm_weight

    def item_losses(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss of each vector: ``(N,)``."""
        check_same_shape('UnitDirectionLoss', pred, target)
        return unit_direction_losses(
            at_least_float32(pred), at_least_float32(target), self.norm_weight
        )
