"""Self-calibrated convolution (SCNet)."""

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from torch import Tensor

from .base import AttentionLayer


@MODELS.register_module()
class SelfCalibratedConvolution(AttentionLayer):
    """Self-calibrated convolution (SCNet, SCConv).

    Liu, Hou, Cheng, Wang and Feng: Improving Convolutional Networks with Self-Calibrated Convolutions,
    CVPR 2020.

    ``y_1 = K4(K3(x_1) * sigmoid(x_1 + up(K2(mean_r(x_1)))))``, ``y_2 = K1(x_2)`` on the two halves of
    the channels; K are 3 x 3 convolutions with normalisation, ``mean_r`` averages r x r positions, up
    is bilinear. Unlike its neighbours it replaces values instead of weighing them.

    Args:
        in_channels: Channels of the maps, even.
        pooling: r.
        norm_cfg: Normalisation.
        act_cfg: Activation of the result.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: An odd number of channels.
    """

    def __init__(
        self,
        in_channels: int,
        pooling: int = 4,
        norm_cfg: dict = dict(type='BN'),
        act_cfg: dict | None = dict(type='ReLU', inplace=True),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(in_channels, init_cfg)
        if in_channels % 2:
            raise ValueError(f'{self.name}: in_channels is {in_channels}, but must be even.')
        self.pooling = pooling

        def conv(act_cfg: dict | None) -> ConvModule:
            half = in_channels // 2
            return ConvModule(half, half, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)

        self.k1, self.k2, self.k3, self.k4 = conv(act_cfg), conv(None), conv(None), conv(act_cfg)

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        first, second = x.chunk(2, dim=1)
        # ceil_mode: windows that the border cuts off count, so that no map is too small.
        coarse = self.k2(F.avg_pool2d(first, self.pooling, ceil_mode=True))
        around = F.interpolate(coarse, first.shape[2:], mode='bilinear', align_corners=False)
        calibrated = self.k4(self.k3(first) * (first + around).sigmoid())
        return torch.cat([calibrated, self.k1(second)], dim=1)
