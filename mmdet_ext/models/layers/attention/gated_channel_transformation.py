"""Gated channel transformation (GCT)."""

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from .base import AttentionLayer, at_least_float32


@MODELS.register_module()
class GatedChannelTransformation(AttentionLayer):
    """Gated channel transformation (GCT); the identity at the start.

    Yang, Zhu, Wu and Yang: Gated Channel Transformation for Visual Recognition, CVPR 2020,
    arXiv:1909.11519.

    ``s = alpha * ||x||_hw``, ``y = x * (1 + tanh(gamma * s / rms_c(s) + beta))``

    Args:
        in_channels: Channels of the maps.
        eps: Added under the square roots.
        init_cfg: As for any mmengine module.
    """

    def __init__(self, in_channels: int, eps: float = 1e-5, init_cfg: dict | None = None) -> None:
        super().__init__(in_channels, init_cfg)
        self.eps = eps
        self.alpha = nn.Parameter(torch.ones(1, in_channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, in_channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, in_channels, 1, 1))

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        energy = at_least_float32(x).square().sum((2, 3), keepdim=True)
        embedding = (energy + self.eps).sqrt() * self.alpha
        norm = embedding * (embedding.square().mean(1, keepdim=True) + self.eps).rsqrt()
        return x * (1 + (self.gamma * norm + self.beta).tanh()).to(x.dtype)
