"""The network of DMPR-PS."""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from torch import nn

from .staged_backbone import StagedBackbone

_BOTTLENECKS = (1, 1, 2, 2, 1)


@MODELS.register_module()
class DMPRDarknet(StagedBackbone):
    """The backbone of DMPR-PS: a darknet without shortcuts that halves by 4 x 4 convolutions.

    Huang et al., DMPR-PS: A Novel Approach for Parking-Slot Detection Using Directional
    Marking-Point Regression, 2019. Its five stages have strides 2, 4, 8, 16, 32 and 64, 128, 256, 512,
    1024 channels; each is a convolution that halves and 1, 1, 2, 2, 1 bottlenecks.

    Args:
        out_indices: Stages whose outputs are given.
        widen_factor: Multiplies all channels.
        last_bottlenecks: Bottlenecks of the last stage; 3 with those of the paper's prediction head.
        norm_cfg: Normalisation.
        act_cfg: Activation.
        frozen_stages: Stages up to this one are frozen, the first convolution with them; -1: none.
        norm_eval: Keep the running statistics of batch normalisation as they are.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: If there is no stage of an index.
    """

    def __init__(
        self,
        out_indices: Sequence[int] = (2, 3, 4),
        widen_factor: float = 1.0,
        last_bottlenecks: int = 1,
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='LeakyReLU', negative_slope=0.1),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        def convolution(
            in_channels: int, out_channels: int, kernel: int, stride: int = 1
        ) -> nn.Module:
            padding = (kernel - 1) // 2
            return ConvModule(
                in_channels,
                out_channels,
                kernel,
                stride,
                padding,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
            )

        channels = round(32 * widen_factor)
        stem = [convolution(3, channels, 3)]
        stages = []
        for bottlenecks in (*_BOTTLENECKS[:-1], last_bottlenecks):
            layers = [convolution(channels, 2 * channels, 4, stride=2)]
            for _ in range(bottlenecks):
                layers += [
                    convolution(2 * channels, channels, 1),
                    convolution(channels, 2 * channels, 3),
                ]
            stages.append(nn.Sequential(*stem, *layers))
            stem, channels = [], 2 * channels
        super().__init__(stages, out_indices, frozen_stages, norm_eval, init_cfg)
