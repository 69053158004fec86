"""Transposed convolution that starts as bilinear interpolation."""

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class BilinearDeconv(nn.ConvTranspose2d):
    """Transposed convolution without a checkerboard: even overlap, bilinear interpolation at the start.

    The kernel is a multiple of the stride, so that as many taps reach each cell of the output. With
    as many channels in as out, it starts as bilinear interpolation; otherwise as that of a random
    projection. For mmcv's ``build_upsample_layer``: ``dict(type='BilinearDeconv', in_channels=...)``.

    The start is that of Long, Shelhamer and Darrell (Fully Convolutional Networks for Semantic
    Segmentation, CVPR 2015).

    Odena, Dumoulin and Olah: Deconvolution and Checkerboard Artifacts, Distill 2016.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output; ``in_channels`` if not given.
        scale_factor: Of the size: the stride.
        kernel_size: Side of the kernel: ``scale_factor`` times 1, 2, 3 ..., an odd number of times if
            ``scale_factor`` is odd. If not given, the smallest that interpolates: twice or thrice.
        bias: Learn a bias.

    Raises:
        ValueError: The kernel does not suit the stride.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int | None = None,
        scale_factor: int = 2,
        kernel_size: int | None = None,
        bias: bool = True,
    ) -> None:
        usual = scale_factor * (3 if scale_factor % 2 else 2)
        size = usual if kernel_size is None else kernel_size
        if size < scale_factor or size % scale_factor:
            raise ValueError(
                f'BilinearDeconv got kernel_size={size} for scale_factor={scale_factor}, whose taps '
                f'overlap unevenly (a checkerboard): give a multiple of {scale_factor}, such as {usual}.'
            )
        if (size - scale_factor) % 2:
            raise ValueError(
                f'BilinearDeconv got kernel_size={size} for scale_factor={scale_factor}, which shifts '
                f'the map by half a cell: give an odd multiple of {scale_factor}, such as {usual}.'
            )
        out_channels = in_channels if out_channels is None else out_channels
        padding = (size - scale_factor) // 2
        super().__init__(in_channels, out_channels, size, scale_factor, padding, bias=bias)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """Make it bilinear interpolation (of a random projection)."""
        projection = torch.empty(self.out_channels, self.in_channels)
        if self.in_channels == self.out_channels:
            nn.init.eye_(projection)
        else:
            nn.init.xavier_uniform_(projection)
        taps = bilinear_taps(self.kernel_size[0], self.stride[0])
        self.weight.copy_(projection.t()[:, :, None, None] * torch.outer(taps, taps))
        if self.bias is not None:
            nn.init.zeros_(self.bias)


def bilinear_taps(size: int, stride: int) -> Tensor:
    """One row of a kernel that interpolates linearly.

    Args:
        size: Taps of the row, a multiple of the stride.
        stride: Cells of the output to a cell of the input.

    Returns:
        Shape ``(size,)``; those that meet in one cell of the output sum to 1.
    """
    distance = (torch.arange(size) - (size - 1) / 2).abs()
    taps = (1 - distance / stride).clamp(min=0).reshape(-1, stride)
    return (taps / taps.sum(0)).flatten()
