"""The 24 convolutions of YOLOv1."""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from torch import nn

from .staged_backbone import StagedBackbone

# Kernel, channels, stride of each convolution; all stages but the first and the last start with a
# pooling that halves.
_STAGES = (
    [(7, 64, 2)],
    [(3, 192, 1)],
    [(1, 128, 1), (3, 256, 1), (1, 256, 1), (3, 512, 1)],
    [*4 * [(1, 256, 1), (3, 512, 1)], (1, 512, 1), (3, 1024, 1)],
    [*2 * [(1, 512, 1), (3, 1024, 1)], (3, 1024, 1)],
    [(3, 1024, 2), (3, 1024, 1), (3, 1024, 1)],
)


@MODELS.register_module()
class YOLOv1Darknet(StagedBackbone):
    """The convolutional part of YOLOv1.

    Redmon et al., You Only Look Once: Unified, Real-Time Object Detection, 2016. Its six stages have
    strides 2, 4, 8, 16, 32, 64 and 64, 192, 512, 1024, 1024, 1024 channels.

    Args:
        out_indices: Stages whose outputs are given.
        widen_factor: Multiplies all channels.
        norm_cfg: Normalisation; None for biases instead, as in the paper.
        act_cfg: Activation.
        frozen_stages: Stages up to this one are frozen; -1: none.
        norm_eval: Keep the running statistics of batch normalisation as they are.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: If there is no stage of an index.
    """

    def __init__(
        self,
        out_indices: Sequence[int] = (2, 3, 4),
        widen_factor: float = 1.0,
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='LeakyReLU', negative_slope=0.1),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        stages, in_channels = [], 3
        for index, convolutions in enumerate(_STAGES):
            layers = [] if index in (0, len(_STAGES) - 1) else [nn.MaxPool2d(2, 2)]
            for kernel, channels, stride in convolutions:
                out_channels = round(channels * widen_factor)
                layers.append(
                    ConvModule(
                        in_channels,
                        out_channels,
                        kernel,
                        stride,
                        padding=kernel // 2,
                        norm_cfg=norm_cfg,
                        act_cfg=act_cfg,
                    )
                )
                in_channels = out_channels
            stages.append(nn.Sequential(*layers))
        super().__init__(stages, out_indices, frozen_stages, norm_eval, init_cfg)
