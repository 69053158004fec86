"""Bottleneck attention (BAM)."""

from mmcv.cnn import ConvModule, build_norm_layer
from mmdet.registry import MODELS
from torch import Tensor, nn

from .base import AttentionLayer, bottleneck


@MODELS.register_module()
class BottleneckAttention(AttentionLayer):
    """Bottleneck attention module (BAM): channels and positions side by side.

    Park, Woo, Lee and Kweon: BAM: Bottleneck Attention Module, BMVC 2018, arXiv:1807.06514.

    ``y = x * (1 + sigmoid(BN(MLP(mean_hw(x))) + BN(f(x))))``: f reduces the channels, looks around
    with two dilated 3 x 3 convolutions and ends in one channel.

    Args:
        in_channels: Channels of the maps.
        reduction: Both branches have ``in_channels // reduction`` channels inside.
        dilation: Of the 3 x 3 convolutions.
        norm_cfg: Normalisation. Batch normalisation needs two or more images a batch in training.
        init_cfg: As for any mmengine module.
    """

    def __init__(
        self,
        in_channels: int,
        reduction: int = 16,
        dilation: int = 4,
        norm_cfg: dict = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(in_channels, init_cfg)
        hidden = self.reduce(reduction)
        dilated = dict(padding=dilation, dilation=dilation, norm_cfg=norm_cfg)
        self.channel = nn.Sequential(
            bottleneck(in_channels, hidden, bias=True), build_norm_layer(norm_cfg, in_channels)[1]
        )
        self.spatial = nn.Sequential(
            ConvModule(in_channels, hidden, 1, norm_cfg=norm_cfg),
            ConvModule(hidden, hidden, 3, **dilated),
            ConvModule(hidden, hidden, 3, **dilated),
            ConvModule(hidden, 1, 1, norm_cfg=norm_cfg, act_cfg=None),
        )

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        weights = self.channel(x.mean((2, 3), keepdim=True)) + self.spatial(x)
        return x * (1 + weights.sigmoid())
