"""Residual attention."""

import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.models.backbones.resnet import Bottleneck
from mmdet.registry import MODELS
from torch import Tensor, nn

from .base import AttentionLayer


@MODELS.register_module()
class ResidualAttention(AttentionLayer):
    """Residual attention: a soft mask from a small hourglass.

    Wang, Jiang, Qian, Yang, Li, Zhang, Wang and Tang: Residual Attention Network for Image
    Classification, CVPR 2017, arXiv:1704.06904.

    ``y = x * (1 + sigmoid(W2 relu(BN(W1 hourglass(x)))))``: x stands for the paper's trunk branch. The
    hourglass halves the map by maximum pooling and restores it by bilinear interpolation, with a
    residual unit (mmdet's ``Bottleneck``) after each step and skip connections between equal sizes.

    Args:
        in_channels: Channels of the maps, a multiple of 4.
        depth: Times that the map is halved.
        norm_cfg: Normalisation.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: Channels that are no multiple of 4, or a depth below 1.
    """

    def __init__(
        self,
        in_channels: int,
        depth: int = 2,
        norm_cfg: dict = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(in_channels, init_cfg)
        if in_channels % 4:
            raise ValueError(
                f'{self.name}: in_channels is {in_channels}, but must be a multiple of 4.'
            )
        if depth < 1:
            raise ValueError(f'{self.name}: depth is {depth}, but must be 1 or more.')

        def units(count: int) -> nn.ModuleList:
            return nn.ModuleList(
                Bottleneck(in_channels, in_channels // 4, norm_cfg=norm_cfg) for _ in range(count)
            )

        self.down, self.up = units(depth), units(depth - 1)
        self.mask = nn.Sequential(
            ConvModule(in_channels, in_channels, 1, norm_cfg=norm_cfg),
            nn.Conv2d(in_channels, in_channels, 1),
        )

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        maps = [x]
        for unit in self.down:
            maps.append(unit(F.max_pool2d(maps[-1], 3, stride=2, padding=1)))
        hourglass = maps.pop()
        for unit in self.up:
            skip = maps.pop()
            hourglass = unit(_resized(hourglass, skip) + skip)
        return x * (1 + self.mask(_resized(hourglass, x)).sigmoid())


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode='bilinear', align_corners=False)
