"""Weights that bring all losses to one magnitude."""

import torch
from mmdet.registry import MODELS
from torch import Tensor

from .base import LossBalancer


@MODELS.register_module()
class LossRatioWeighting(LossBalancer):
    """Divides each loss by its moving mean, and multiplies it by the mean of all moving means.

    All losses then have the magnitude of their mean, and the total is what it would be without
    weights. The moving means are those of Adam (bias-corrected), so that weights are right from the first
    iteration on; no gradient flows through them.

    Args:
        momentum: Of the moving means, in [0, 1): the share that stays in each iteration.
        max_weight: Weights are kept between its inverse and itself.
        kwargs: As for :class:`LossBalancer`.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(self, momentum: float = 0.99, max_weight: float = 100.0, **kwargs) -> None:
        super().__init__(**kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(f'LossRatioWeighting: momentum is {momentum}, but must be in [0, 1).')
        if not max_weight >= 1:
            raise ValueError(
                f'LossRatioWeighting: max_weight is {max_weight}, but must be at least 1.'
            )
        self.momentum, self.max_weight = momentum, max_weight
        self.register_buffer('means', torch.zeros(self.capacity))
        self.register_buffer('masses', torch.zeros(self.capacity))

    def weigh(self, values: Tensor, shared: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh the losses of an iteration; see the base class."""
        if self.training:
            self.means[index] = self.means[index].lerp(shared.abs(), 1 - self.momentum)
            self.masses[index] = self.masses[index].lerp(torch.ones_like(shared), 1 - self.momentum)
        masses = self.masses[index]
        means = torch.where(masses > 0, self.means[index] / torch.where(masses > 0, masses, 1), 1)
        weights = means.mean() / means.clamp(min=torch.finfo(means.dtype).tiny)
        weights = weights.clamp(1 / self.max_weight, self.max_weight)
        return (weights * values).sum(), weights
