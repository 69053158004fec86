"""Position embeddings of vision transformers."""

import math

import torch.nn.functional as F
from torch import Tensor


def resize_positions(positions: Tensor, height: int, width: int) -> Tensor:
    """Resize position embeddings of a square grid by bicubic interpolation.

    Args:
        positions: Row by row, ``(1, side * side, C)``.
        height: Rows wanted.
        width: Columns wanted.

    Returns:
        Shape ``(1, height, width, C)``.
    """
    side = math.isqrt(positions.shape[1])
    grid = positions.unflatten(1, (side, side))
    if (height, width) == (side, side):
        return grid
    # In float32: not every CPU kernel has the half-precision types.
    resized = F.interpolate(grid.permute(0, 3, 1, 2).float(), (height, width), mode='bicubic')
    return resized.permute(0, 2, 3, 1).to(positions.dtype)
