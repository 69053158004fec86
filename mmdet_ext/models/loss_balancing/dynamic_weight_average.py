"""Weights by how fast losses fall."""

import torch
from mmdet.registry import MODELS
from mmengine.logging import MessageHub
from torch import Tensor

from .base import LossBalancer


@MODELS.register_module()
class DynamicWeightAverage(LossBalancer):
    """Gives more weight to losses that fell less from the last epoch but one to the last.

    From Liu et al., End-to-End Multi-Task Learning with Attention, 2019: weights are
    ``K * softmax(r / temperature)`` of the ratios r of the mean losses of the last two epochs; they are 1
    in the first two, and their sum is always the number K of losses.

    Args:
        temperature: The higher, the more equal the weights.
        period: Iterations that count as an epoch. Defaults to the epochs of the training.
        kwargs: As for :class:`LossBalancer`.

    Raises:
        ValueError: The temperature or the period is not positive.
    """

    def __init__(self, temperature: float = 2.0, period: int | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        if not temperature > 0:
            raise ValueError(
                f'DynamicWeightAverage: temperature is {temperature}, but must be positive.'
            )
        if period is not None and period < 1:
            raise ValueError(f'DynamicWeightAverage: period is {period}, but must be 1 or more.')
        self.temperature, self.period = temperature, period
        self.register_buffer('sums', torch.zeros(self.capacity))
        self.register_buffer('counts', torch.zeros(self.capacity))
        self.register_buffer('means', torch.zeros(2, self.capacity))  # last epoch, the one before
        self.register_buffer('iterations', torch.tensor(0))
        self.register_buffer('epoch', torch.tensor(-1))

    def weigh(self, values: Tensor, shared: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh the losses of an iteration; see the base class."""
        if self.training:
            self._start_epoch()
            self.sums[index] += shared
            self.counts[index] += 1
            self.iterations += 1
        last, before = self.means[:, index]
        ratios = torch.where(before > 0, last / torch.where(before > 0, before, 1), 1)
        weights = len(index) * (ratios / self.temperature).softmax(0)
        return (weights * values).sum(), weights

    def _start_epoch(self) -> None:
        """Turn the sums of an epoch that has ended into means."""
        if self.period is None:
            epoch = MessageHub.get_current_instance().get_info('epoch', 0)
        else:
            epoch = int(self.iterations) // self.period
        if epoch == int(self.epoch):
            return
        self.epoch.fill_(epoch)
        if self.counts.any():
            mean = self.sums / self.counts.clamp(min=1)
            self.means.copy_(
                torch.stack([torch.where(self.counts > 0, mean, self.means[0]), self.means[0]])
            )
            self.sums.zero_()
            self.counts.zero_()
