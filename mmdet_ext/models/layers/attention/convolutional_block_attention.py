"""Convolutional block attention (CBAM)."""

import torch
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from torch import Tensor, nn

from .base import AttentionLayer, bottleneck


@MODELS.register_module()
class ConvolutionalBlockAttention(AttentionLayer):
    """Convolutional block attention module (CBAM): channels first, then positions.

    Woo, Park, Lee and Kweon: CBAM: Convolutional Block Attention Module, ECCV 2018, arXiv:1807.06521.

    ``z = x * sigmoid(MLP(mean_hw(x)) + MLP(max_hw(x)))``,
    ``y = z * sigmoid(BN(conv([mean_c(z), max_c(z)])))``

    Args:
        in_channels: Channels of the maps.
        reduction: The MLP has ``in_channels // reduction`` hidden units.
        kernel_size: Of the convolution over positions, odd.
        norm_cfg: Its normalisation, which the authors' code has.
        init_cfg: As for any mmengine module.
    """

    def __init__(
        self,
        in_channels: int,
        reduction: int = 16,
        kernel_size: int = 7,
        norm_cfg: dict | None = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(in_channels, init_cfg)
        self.mlp = bottleneck(in_channels, self.reduce(reduction))
        self.spatial = SpatialGate(kernel_size, norm_cfg)

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        mean, peak = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        return self.spatial(x * (self.mlp(mean) + self.mlp(peak)).sigmoid())


class SpatialGate(nn.Module):
    """Weigh positions by a convolution of the mean and the maximum over the channels.

    Args:
        kernel_size: Of the convolution, odd.
        norm_cfg: Its normalisation.

    Raises:
        ValueError: An even kernel.
    """

    def __init__(self, kernel_size: int = 7, norm_cfg: dict | None = dict(type='BN')) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f'SpatialGate: kernel_size is {kernel_size}, but must be odd.')
        self.conv = ConvModule(
            2, 1, kernel_size, padding=kernel_size // 2, bias=False, norm_cfg=norm_cfg, act_cfg=None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Weigh positions of maps ``(B, C, H, W)``, any C."""
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        return x * self.conv(pooled).sigmoid()
