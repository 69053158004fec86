"""Depthwise-separable convolution as a block of a config."""

from mmcv.cnn import DepthwiseSeparableConvModule
from mmdet.registry import MODELS


@MODELS.register_module()
class DepthwiseSeparableBlock(DepthwiseSeparableConvModule):
    """mmcv's depthwise-separable convolution, which no registry has, keeping the size of the map.

    Needs 1 / out_channels + 1 / kernel_size squared of the multiplications of a plain convolution.

    Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto and Adam: MobileNets: Efficient
    Convolutional Neural Networks for Mobile Vision Applications, 2017, arXiv:1704.04861.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output; ``in_channels`` if not given.
        kernel_size: Side of the depthwise kernel, odd.
        dilation: Its dilation.
        norm_cfg: Normalisation of both convolutions.
        act_cfg: Activation of both convolutions.

    Raises:
        ValueError: The kernel has an even size.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int | None = None,
        kernel_size: int = 3,
        dilation: int = 1,
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='ReLU'),
    ) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(
                f'DepthwiseSeparableBlock got kernel_size={kernel_size}: give an odd number, which '
                'keeps the size of the map.'
            )
        super().__init__(
            in_channels,
            in_channels if out_channels is None else out_channels,
            kernel_size,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
