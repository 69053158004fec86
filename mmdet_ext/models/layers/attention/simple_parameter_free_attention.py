"""Simple, parameter-free attention (SimAM)."""

import torch
from mmdet.registry import MODELS
from torch import Tensor

from .base import AttentionLayer, at_least_float32


@MODELS.register_module()
class SimpleParameterFreeAttention(AttentionLayer):
    """Simple, parameter-free attention module (SimAM).

    Yang, Zhang, Li and Xie: SimAM: A Simple, Parameter-Free Attention Module for Convolutional Neural
    Networks, ICML 2021.

    ``y = x * sigmoid(1 / e)``, ``1 / e = (x - m)^2 / (4 (v + e_lambda)) + 1/2``, m and v the mean and
    the variance over the positions of a channel. The variance is the paper's, over all positions; the
    authors' code divides by one position fewer, which is undefined on a map of one.

    Args:
        in_channels: Channels of the maps.
        e_lambda: Regularisation.
        init_cfg: As for any mmengine module.
    """

    def __init__(
        self, in_channels: int, e_lambda: float = 1e-4, init_cfg: dict | None = None
    ) -> None:
        super().__init__(in_channels, init_cfg)
        self.e_lambda = e_lambda

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        full = at_least_float32(x)
        variance, mean = torch.var_mean(full, (2, 3), unbiased=False, keepdim=True)
        inverse_energy = (full - mean).square() / (4 * (variance + self.e_lambda)) + 0.5
        return x * inverse_energy.sigmoid().to(x.dtype)
