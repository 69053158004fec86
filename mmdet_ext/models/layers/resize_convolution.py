"""Upsampling by interpolation and convolution."""

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class ResizeConv(nn.Conv2d):
    """Interpolates, then convolves: no cell of the output is reached by more taps than another.

    For mmcv's ``build_upsample_layer``: ``dict(type='ResizeConv', in_channels=..., out_channels=...)``.

    Odena, Dumoulin and Olah: Deconvolution and Checkerboard Artifacts, Distill 2016.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output; ``in_channels`` if not given.
        scale_factor: Of the size.
        kernel_size: Side of the convolution, odd.
        mode: Interpolation, ``nearest`` or ``bilinear``.
        bias: Learn a bias.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int | None = None,
        scale_factor: int = 2,
        kernel_size: int = 3,
        mode: str = 'nearest',
        bias: bool = True,
    ) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(
                f'ResizeConv got kernel_size={kernel_size}: give an odd number, which keeps the map '
                'where it is.'
            )
        if mode not in ('nearest', 'bilinear'):
            raise ValueError(f"ResizeConv got mode={mode!r}: give 'nearest' or 'bilinear'.")
        out_channels = in_channels if out_channels is None else out_channels
        super().__init__(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias
        )
        self.scale_factor, self.mode = scale_factor, mode

    def forward(self, input: Tensor) -> Tensor:
        """Upsample.

        Args:
            input: Shape ``(B, in_channels, H, W)``.

        Returns:
            Shape ``(B, out_channels, scale_factor * H, scale_factor * W)``.
        """
        larger = F.interpolate(input, scale_factor=float(self.scale_factor), mode=self.mode)
        return super().forward(larger)
