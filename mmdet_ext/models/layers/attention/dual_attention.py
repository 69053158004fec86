"""Position and channel attention of the dual attention network (DANet)."""

import math

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn

from .base import AttentionLayer, at_least_float32


@MODELS.register_module()
class PositionSelfAttention(AttentionLayer):
    """Position attention module of DANet; the identity at the start.

    Fu, Liu, Tian, Li, Bao, Fang and Lu: Dual Attention Network for Scene Segmentation, CVPR 2019,
    arXiv:1809.02983.

    ``y = x + gamma * softmax((W_q x)^T (W_k x)) (W_v x)`` over all pairs of positions. Time grows
    with ``(H * W)^2``, and memory with it where torch has no fused kernel: use it on small maps.

    Args:
        in_channels: Channels of the maps.
        reduction: Queries and keys have ``in_channels // reduction`` channels.
        init_cfg: As for any mmengine module.
    """

    def __init__(self, in_channels: int, reduction: int = 8, init_cfg: dict | None = None) -> None:
        super().__init__(in_channels, init_cfg)
        hidden = self.reduce(reduction)
        self.query = nn.Conv2d(in_channels, hidden, 1)
        self.key = nn.Conv2d(in_channels, hidden, 1)
        self.value = nn.Conv2d(in_channels, in_channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        query, key = _tokens(self.query(x)), _tokens(self.key(x))
        # Undoes the scaling of the function, whose argument scale=1 torch 2.1 cannot export.
        query = query * math.sqrt(self.query.out_channels)
        attended = F.scaled_dot_product_attention(query, key, _tokens(self.value(x)))
        return x + self.gamma * attended.transpose(1, 2).reshape(x.shape)


@MODELS.register_module()
class ChannelSelfAttention(AttentionLayer):
    """Channel attention module of DANet; the identity at the start.

    Fu, Liu, Tian, Li, Bao, Fang and Lu: Dual Attention Network for Scene Segmentation, CVPR 2019,
    arXiv:1809.02983.

    ``y = x + gamma * softmax(x x^T) x`` over all pairs of channels, in float32 or better (the products
    sum over all positions). This is the paper's formula; the authors' code subtracts the products from
    their maximum first, so that there unlike channels attend to each other.

    Args:
        in_channels: Channels of the maps.
        init_cfg: As for any mmengine module.
    """

    def __init__(self, in_channels: int, init_cfg: dict | None = None) -> None:
        super().__init__(in_channels, init_cfg)
        self.gamma = nn.Parameter(torch.zeros(()))

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        with torch.autocast(x.device.type, enabled=False):
            flat = at_least_float32(x).flatten(2)
            attended = (flat @ flat.transpose(1, 2)).softmax(2) @ flat
        return x + self.gamma * attended.reshape(x.shape).to(x.dtype)


def _tokens(x: Tensor) -> Tensor:
    """Positions of maps ``(B, C, H, W)`` as ``(B, H * W, C)``."""
    return x.flatten(2).transpose(1, 2)
