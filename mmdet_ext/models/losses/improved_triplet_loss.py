"""The triplet loss that also bounds the distance within a class."""

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from .reduction import at_least_float32, reduce_items


def improved_triplet_losses(
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    within_margin: float = 0.01,
    beta: float = 0.002,
) -> Tensor:
    """Loss ``max(d+ - d-, -margin) + beta * max(d+, within_margin)`` of triplets.

    From Cheng et al., Person Re-Identification by Multi-Channel Parts-Based CNN with Improved Triplet
    Loss Function, 2016. It reaches below zero: ``beta * within_margin - margin`` is the least.

    Args:
        positive: Squared distances from anchor to positive, shape ``(T,)``.
        negative: Squared distances from anchor to negative, shape ``(T,)``.
        margin: By how much negatives must be farther than positives.
        within_margin: Squared distance below which positives need not come closer.
        beta: Weight of the second term.

    Returns:
        Shape ``(T,)``.
    """
    return (positive - negative).clamp(min=-margin) + beta * positive.clamp(min=within_margin)


@MODELS.register_module()
class ImprovedTripletLoss(nn.Module):
    """All triplets of a batch by :func:`improved_triplet_losses`, in place of mmdet's ``TripletLoss``.

    mmdet's takes the hardest positive and negative of each anchor and a hinge at zero. A batch of B
    items has up to B^3 triplets, all in memory at once. Without any, the loss is zero.

    Args:
        margin: See :func:`improved_triplet_losses`, as for ``within_margin`` and ``beta``.
        within_margin: Likewise.
        beta: Likewise.
        reduction: ``none`` (the loss of each triplet), ``mean`` or ``sum``.
        loss_weight: Factor of the loss.
    """

    def __init__(
        self,
        margin: float = 1.0,
        within_margin: float = 0.01,
        beta: float = 0.002,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.options = (margin, within_margin, beta)
        self.reduction, self.loss_weight = reduction, loss_weight

    def forward(
        self,
        inputs: Tensor,
        targets: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            inputs: Features ``(B, D)``.
            targets: Identities ``(B,)``; items with a negative one are in no triplet.
            weight: Of each item as the anchor, ``(B,)``.
            avg_factor: With the reduction ``mean`` divide by it, not by the number of triplets.
            reduction_override: Reduction of this call.

        Returns:
            A scalar, or with the reduction ``none`` shape ``(T,)``.
        """
        features = at_least_float32(inputs)
        distances = (features[:, None] - features).square().sum(-1)
        anchor, positive, negative = _triplets(targets)
        losses = improved_triplet_losses(
            distances[anchor, positive], distances[anchor, negative], *self.options
        )
        weight = None if weight is None else weight[anchor]
        reduction = reduction_override or self.reduction
        return self.loss_weight * reduce_items(losses, weight, reduction, avg_factor)


def _triplets(identities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of all anchors, positives and negatives."""
    known = identities >= 0
    same = identities[:, None] == identities
    itself = torch.eye(len(identities), dtype=torch.bool, device=identities.device)
    positives = same & ~itself & known[:, None]
    negatives = ~same & known[:, None] & known
    return (positives[:, :, None] & negatives[:, None]).nonzero(as_tuple=True)
