"""Kullback-Leibler divergence with temperature."""

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from .reduction import ReducedLoss, at_least_float32, check_same_shape


def kl_divergences(
    pred: Tensor, target: Tensor, temperature: float = 1.0, target_is_logits: bool = True
) -> Tensor:
    """Divergence KL(target || prediction) of softened distributions, times the squared temperature.

    The factor keeps gradients of one size at any temperature (Hinton et al., Distilling the Knowledge in
    a Neural Network, 2015).

    Args:
        pred: Logits ``(N, C)``.
        target: Logits, or probabilities that sum to 1, ``(N, C)``; no gradient flows to it.
        temperature: Positive; both distributions are softmaxes of logits divided by it.
        target_is_logits: False for probabilities.

    Returns:
        Shape ``(N,)``, not negative.
    """
    target = target.detach()
    if target_is_logits:
        target = (target / temperature).softmax(-1)
    elif temperature != 1:
        target = F.normalize(target ** (1 / temperature), p=1, dim=-1)
    divergences = F.kl_div((pred / temperature).log_softmax(-1), target, reduction='none').sum(-1)
    return divergences * temperature**2


@MODELS.register_module()
class KLDivergenceLoss(ReducedLoss):
    """Kullback-Leibler divergence of softmaxes; see :func:`kl_divergences`.

    Unlike mmdet's ``KnowledgeDistillationKLDivLoss``, which takes the mean over the classes, this is the
    divergence itself, C times as much.

    Args:
        temperature: Positive.
        target_is_logits: False where targets are probabilities.
        reduction: ``none``, ``mean`` or ``sum``.
        loss_weight: Factor of the loss.

    Raises:
        ValueError: The temperature is not positive.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        target_is_logits: bool = True,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(reduction, loss_weight)
        if not temperature > 0:
            raise ValueError(
                f'KLDivergenceLoss: temperature is {temperature}, but must be positive.'
            )
        self.temperature, self.target_is_logits = temperature, target_is_logits

    def item_losses(self, pred: Tensor, target: Tensor) -> Tensor:
        """Divergence of each row: ``(N,)``."""
        check_same_shape('KLDivergenceLoss', pred, target)
        return kl_divergences(
            at_least_float32(pred),
            at_least_float32(target),
            self.temperature,
            self.target_is_logits,
        )
