"""Sub-pixel convolution that starts as nearest-neighbour interpolation."""

import torch
from mmcv.cnn.bricks.upsample import PixelShufflePack
from mmdet.registry import MODELS
from mmengine.model import kaiming_init


@MODELS.register_module()
class ICNRPixelShuffle(PixelShufflePack):
    """mmcv's ``pixel_shuffle`` whose kernels start equal within each group of sub-pixels.

    Drawn independently, they make a checkerboard that training has to unlearn; equal ones make a
    convolution followed by nearest-neighbour interpolation. For mmcv's ``build_upsample_layer``:
    ``dict(type='ICNRPixelShuffle', in_channels=..., out_channels=..., scale_factor=2)``.

    Aitken, Ledig, Theis, Caballero, Wang and Shi: Checkerboard Artifact Free Sub-Pixel Convolution,
    2017, arXiv:1707.02937.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output; ``in_channels`` if not given.
        scale_factor: Of the size.
        upsample_kernel: Side of the convolution, odd.

    Raises:
        ValueError: The kernel has an even size.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int | None = None,
        scale_factor: int = 2,
        upsample_kernel: int = 3,
    ) -> None:
        if upsample_kernel % 2 == 0:
            raise ValueError(
                f'ICNRPixelShuffle got upsample_kernel={upsample_kernel}: give an odd number, which '
                'keeps the map where it is.'
            )
        out_channels = in_channels if out_channels is None else out_channels
        super().__init__(in_channels, out_channels, scale_factor, upsample_kernel)

    @torch.no_grad()
    def init_weights(self) -> None:
        """Draw one kernel for all sub-pixels of each output channel."""
        kaiming_init(self.upsample_conv, nonlinearity='linear', mode='fan_in')
        group = self.scale_factor**2
        self.upsample_conv.weight.copy_(
            self.upsample_conv.weight[::group].repeat_interleave(group, 0)
        )
