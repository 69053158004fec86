"""Efficient channel attention (ECA)."""

import math

from mmdet.registry import MODELS
from torch import Tensor, nn

from .base import AttentionLayer


@MODELS.register_module()
class EfficientChannelAttention(AttentionLayer):
    """Efficient channel attention (ECA).

    Wang, Wu, Zhu, Li, Zuo and Hu: ECA-Net: Efficient Channel Attention for Deep Convolutional Neural
    Networks, CVPR 2020, arXiv:1910.03151.

    ``y_c = x_c * sigmoid(conv_k(mean_hw(x)))_c``, a convolution along the channels.

    Args:
        in_channels: Channels C of the maps.
        kernel_size: Its k, odd. Defaults to the paper's ``(log2(C) + 1) / 2``, rounded down and then
            up to an odd number.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: An even kernel.
    """

    def __init__(
        self, in_channels: int, kernel_size: int | None = None, init_cfg: dict | None = None
    ) -> None:
        super().__init__(in_channels, init_cfg)
        if kernel_size is None:
            kernel_size = int((math.log2(in_channels) + 1) / 2) | 1
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f'{self.name}: kernel_size is {kernel_size}, but must be odd.')
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        weights = self.conv(x.mean((2, 3)).unsqueeze(1)).sigmoid()
        return x * weights.squeeze(1)[..., None, None]
