"""Frequency channel attention (FcaNet)."""

import math
from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from torch import Tensor

from .base import AttentionLayer, at_least_float32, bottleneck


@MODELS.register_module()
class FrequencyChannelAttention(AttentionLayer):
    """Frequency channel attention (FcaNet).

    Qin, Zhang, Wu and Li: FcaNet: Frequency Channel Attention Networks, ICCV 2021, arXiv:2012.11879.

    ``y_c = x_c * sigmoid(W2 relu(W1 d))_c``: squeeze-and-excitation whose squeeze ``d_c`` is a
    coefficient of the two-dimensional discrete cosine transform of ``x_c``. The channels are split
    into equal groups, one for each frequency.

    The transform is taken at the size of the map (the paper's are all made of 7 x 7) and divided by
    ``sqrt(H * W)``: frequency (0, 0) is global average pooling at any size.

    Args:
        in_channels: Channels of the maps, a multiple of the number of frequencies.
        frequencies: Vertical and horizontal frequencies ``(u, v)``; or how many, the lowest ones by
            ``u + v`` (FcaNet-LF).
        reduction: The MLP has ``in_channels // reduction`` hidden units.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: Channels that do not split into equal groups; in the forward pass a map that is
            smaller than a frequency needs.
    """

    def __init__(
        self,
        in_channels: int,
        frequencies: int | Sequence[tuple[int, int]] = 16,
        reduction: int = 16,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(in_channels, init_cfg)
        if isinstance(frequencies, int):
            frequencies = lowest_frequencies(frequencies)
        if not frequencies or in_channels % len(frequencies):
            raise ValueError(
                f'{self.name}: in_channels is {in_channels}, but must be a multiple of the '
                f'{len(frequencies)} frequencies: choose another number of frequencies.'
            )
        vertical, horizontal = zip(*frequencies, strict=True)
        self.frequencies = tuple(frequencies)
        self.smallest_map = max(vertical) + 1, max(horizontal) + 1
        self.register_buffer('vertical', torch.tensor(vertical), persistent=False)
        self.register_buffer('horizontal', torch.tensor(horizontal), persistent=False)
        self.excitation = bottleneck(in_channels, self.reduce(reduction))

    def check(self, x: Tensor) -> None:
        """See :meth:`AttentionLayer.check`."""
        super().check(x)
        height, width = self.smallest_map
        if x.shape[2] < height or x.shape[3] < width:
            raise ValueError(
                f'{self.name} has frequencies that need a map of {height} x {width} (height x width) '
                f'or more, but got {x.shape[2]} x {x.shape[3]}: choose fewer or lower frequencies.'
            )

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        batch, channels, height, width = x.shape
        rows, columns = _cosines(self.vertical, height, x), _cosines(self.horizontal, width, x)
        basis = rows[:, :, None] * columns[:, None, :]  # (F, H, W)
        groups = x.reshape(batch, len(self.frequencies), -1, height, width)
        squeezed = (groups * basis[:, None]).mean((3, 4)).reshape(batch, channels, 1, 1)
        return x * self.excitation(squeezed).sigmoid()


def lowest_frequencies(count: int) -> list[tuple[int, int]]:
    """The lowest two-dimensional frequencies, by their sum.

    Args:
        count: How many.

    Returns:
        Pairs ``(u, v)``, first ``(0, 0)``.
    """
    square = [(u, v) for u in range(count) for v in range(count)]
    return sorted(square, key=lambda uv: (sum(uv), uv))[:count]


def _cosines(frequencies: Tensor, size: int, like: Tensor) -> Tensor:
    """Rows of the orthonormal DCT-II, times sqrt(size): ``(len(frequencies), size)``."""
    dtype = at_least_float32(like).dtype
    u = frequencies.to(dtype)[:, None]
    centres = torch.arange(size, dtype=dtype, device=like.device) + 0.5
    scale = (1 + (u > 0)).to(dtype).sqrt()
    return (scale * torch.cos(math.pi * u * centres / size)).to(like.dtype)
