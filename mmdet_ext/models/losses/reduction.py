"""What the losses have in common: weights, reduction and the arguments that mmdet's heads pass."""

from abc import ABC, abstractmethod

import torch
from mmdet.models.losses import weight_reduce_loss
from torch import Tensor, nn

REDUCTIONS = ('none', 'mean', 'sum')


class ReducedLoss(nn.Module, ABC):
    """Base of losses that are computed item by item; a subclass writes :meth:`item_losses`.

    Computes in float32 at least, whatever the precision of the prediction. Nothing to learn from (no
    item, or weights of zero) gives a zero with a gradient of zero.

    Args:
        reduction: ``none``, ``mean`` or ``sum``.
        loss_weight: Factor of the loss.

    Raises:
        ValueError: Another reduction.
    """

    def __init__(self, reduction: str = 'mean', loss_weight: float = 1.0) -> None:
        super().__init__()
        self.reduction = _checked(reduction, 'reduction')
        self.loss_weight = loss_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Compute the loss, as mmdet's heads call it.

        Args:
            pred: Predictions, shape ``(N, ...)``.
            target: What they should be; for its shape see the class.
            weight: Of each element or of each row.
            avg_factor: With the reduction ``mean`` divide the sum by it, not by the number of items.
            reduction_override: Reduction of this call. Defaults to that of the loss.

        Returns:
            A scalar, or with the reduction ``none`` the loss of each item.

        Raises:
            ValueError: Shapes do not fit, or the reduction is unknown or does not go with ``avg_factor``.
        """
        reduction = _checked(reduction_override or self.reduction, 'reduction_override')
        losses = self.item_losses(pred, target)
        return self.loss_weight * reduce_items(losses, weight, reduction, avg_factor)

    @abstractmethod
    def item_losses(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss of each item, ``(N,)`` or of the shape of the prediction."""


def reduce_items(
    losses: Tensor, weight: Tensor | None, reduction: str, avg_factor: float | None
) -> Tensor:
    """Weight and reduce losses as mmdet does, and give zero for the mean of nothing.

    Args:
        losses: Shape ``(N, ...)``.
        weight: Of that shape, of each row ``(N,)``, or of more elements than losses, such as the
            coordinates of a box: then their mean counts.
        reduction: ``none``, ``mean`` or ``sum``.
        avg_factor: With ``mean`` divide by it.

    Returns:
        A scalar, or with ``none`` the weighted losses.

    Raises:
        ValueError: The weight does not fit.
    """
    if weight is not None:
        weight = _fitted(weight.to(losses), losses)
    if not losses.numel() and reduction == 'mean' and avg_factor is None:
        reduction = 'sum'
    return weight_reduce_loss(losses, weight, reduction, avg_factor)


def check_same_shape(name: str, pred: Tensor, target: Tensor, last: int | None = None) -> None:
    """Raise a ValueError unless prediction and target have one shape, ``(N, last)`` if given."""
    if pred.shape != target.shape or (last is not None and pred.shape[1:] != (last,)):
        expected = 'of one shape' if last is None else f'both (N, {last})'
        raise ValueError(
            f'{name}: predictions are {tuple(pred.shape)} and targets {tuple(target.shape)}, but must '
            f'be {expected}.'
        )


def at_least_float32(values: Tensor) -> Tensor:
    """Float64 as it is, all else as float32."""
    return values if values.dtype == torch.float64 else values.float()


def _fitted(weight: Tensor, losses: Tensor) -> Tensor:
    if weight.shape == losses.shape:
        return weight
    if weight.shape[:1] == losses.shape[:1]:
        if weight.dim() > losses.dim() == 1:
            return weight.flatten(1).mean(1)
        if weight.dim() == 1:
            return weight.view(-1, *[1] * (losses.dim() - 1))
    if weight.numel() == losses.numel():
        return weight.view_as(losses)
    raise ValueError(
        f'the weight {tuple(weight.shape)} does not fit losses {tuple(losses.shape)}: give one of each '
        'row or of each element.'
    )


def _checked(reduction: str, name: str) -> str:
    if reduction not in REDUCTIONS:
        raise ValueError(f'{name} is {reduction!r}, but must be one of {", ".join(REDUCTIONS)}.')
    return reduction
