"""Weights learned as uncertainties."""

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from .base import LossBalancer


@MODELS.register_module()
class UncertaintyWeighting(LossBalancer):
    """Total ``sum(exp(-s) * L + s / 2)`` with a learned log-variance s of each loss L.

    From Kendall et al., Multi-Task Learning Using Uncertainty to Weigh Losses, 2018. The paper halves
    the first term for regression; that only shifts s by log 2. Weights start at 1, and each
    weighted loss tends to 1/2, so that the total may become negative; losses themselves must not be.

    The log-variances are parameters of the model, hence in the optimizer. Weight decay pulls weights
    to 1; switch it off with ``paramwise_cfg=dict(custom_keys=dict(loss_balancer=dict(decay_mult=0)))``.

    Args:
        bound: Log-variances are kept within plus and minus it.
        kwargs: As for :class:`LossBalancer`.

    Raises:
        ValueError: The bound is not positive.
    """

    def __init__(self, bound: float = 5.0, **kwargs) -> None:
        super().__init__(**kwargs)
        if not bound > 0:
            raise ValueError(f'UncertaintyWeighting: bound is {bound}, but must be positive.')
        self.bound = bound
        self.log_variances = nn.Parameter(torch.zeros(self.capacity))

    def weigh(self, values: Tensor, shared: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh the losses of an iteration; see the base class."""
        with torch.no_grad():  # a clamp in the graph would stop the gradient that leads back
            self.log_variances.clamp_(-self.bound, self.bound)
        log_variances = self.log_variances[index]
        weights = (-log_variances).exp()
        return (weights * values + log_variances / 2).sum(), weights
