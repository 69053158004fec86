"""Several strides from a single feature map."""

import math
from collections.abc import Sequence

import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torchvision.models.convnext import LayerNorm2d


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """Feature pyramid from the last map of a plain backbone alone.

    Li et al., Exploring Plain Vision Transformer Backbones for Object Detection, 2022. Each level is
    made from the same map: by one transposed 2 x 2 convolution, by two with a normalisation and GELU
    between, as it is, or by 2 x 2 max pooling; then come a 1 x 1 and a 3 x 3 convolution, each
    normalised, with no activation.

    Args:
        in_channels: Channels of the map.
        out_channels: Channels of every level.
        in_stride: Stride of the map.
        out_strides: Strides of the levels, each ``in_stride`` times a power of two.
        num_outs: Number of levels; further ones, each of twice the stride, are subsampled from the
            last. By default as many as ``out_strides``.
        norm_cfg: Normalisation; None for that of the paper, of the channels at each position.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: If a stride cannot be made from the map, or levels are more than ``num_outs``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        in_stride: int = 16,
        out_strides: Sequence[int] = (4, 8, 16, 32),
        num_outs: int | None = None,
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_extra = (num_outs or len(out_strides)) - len(out_strides)
        if self.num_extra < 0:
            raise ValueError(
                f'`num_outs` is {num_outs}, fewer than the {len(out_strides)} `out_strides`: leave out '
                'strides instead.'
            )
        self.levels = nn.ModuleList()
        for stride in out_strides:
            resized, channels = _resize(in_channels, in_stride, stride, norm_cfg)
            self.levels.append(
                nn.Sequential(
                    *resized,
                    nn.Conv2d(channels, out_channels, 1, bias=False),
                    _norm(out_channels, norm_cfg),
                    nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
                    _norm(out_channels, norm_cfg),
                )
            )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the levels.

        Args:
            inputs: Feature maps, of which the last is used, ``(B, in_channels, H, W)``.

        Returns:
            ``num_outs`` maps, finest first as ``out_strides``, each ``(B, out_channels, H_i, W_i)``.
        """
        outputs = [level(inputs[-1]) for level in self.levels]
        for _ in range(self.num_extra):
            outputs.append(F.max_pool2d(outputs[-1], 1, stride=2))
        return tuple(outputs)


def _resize(
    channels: int, in_stride: int, out_stride: int, norm_cfg: dict | None
) -> tuple[list[nn.Module], int]:
    """Return layers from one stride to another, and the channels after them."""
    octaves = math.log2(in_stride / out_stride)
    if octaves not in (-1, 0, 1, 2):
        raise ValueError(
            f'`out_strides` has {out_stride}, but a map of stride {in_stride} gives '
            f'{in_stride // 4}, {in_stride // 2}, {in_stride} and {in_stride * 2}; coarser levels come '
            'with `num_outs`.'
        )
    if octaves == -1:
        return [nn.MaxPool2d(2, 2)], channels
    layers = []
    for step in range(int(octaves)):
        if step:
            layers += [_norm(channels, norm_cfg), nn.GELU()]
        layers.append(nn.ConvTranspose2d(channels, channels // 2, 2, stride=2))
        channels //= 2
    return layers, channels


def _norm(channels: int, norm_cfg: dict | None) -> nn.Module:
    return build_norm_layer(norm_cfg, channels)[1] if norm_cfg else LayerNorm2d(channels, eps=1e-6)
