"""From feature maps back to the pixels of the original image."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .layers import Size, stride_of


def align(maps: Tensor, input_size: Size, meta: Mapping[str, Any]) -> Tensor:
    """Interpolate maps bilinearly at the pixels of the original image; resizing and padding are undone.

    Args:
        maps: Shape ``(C, h, w)``, cell by cell over the network input.
        input_size: Rows and columns of the network input, padding included.
        meta: Of the data sample.

    Returns:
        Shape ``(C, H, W)``, 0 where the model did not see the original image.
    """
    size = tuple(maps.shape[1:])
    stride = stride_of(size, input_size) or np.divide(input_size, size)[::-1]
    height, width = meta['ori_shape'][:2]
    y, x = np.mgrid[:height, :width]
    places = np.stack([x, y, np.ones_like(x)], -1) @ original_to_input(meta).T
    places = places[..., :2] / places[..., 2:]
    relative = 2 * (places + 0.5) / (stride * np.array(size[::-1])) - 1
    grid = torch.from_numpy(relative[None].astype(np.float32)).to(maps.device)
    sampled = F.grid_sample(
        maps[None].float(), grid, mode='bilinear', padding_mode='border', align_corners=False
    )[0]
    limit = np.array(meta['img_shape'][1::-1]) - 0.5
    seen = ((places >= -0.5 - 1e-6) & (places <= limit + 1e-6)).all(-1)
    return sampled * torch.from_numpy(seen).to(sampled)


def original_to_input(meta: Mapping[str, Any]) -> np.ndarray:
    """Map from the original image to the network input.

    Args:
        meta: Of the data sample, with ``homography_matrix`` as our transforms set it, or
            ``scale_factor`` (width, height) and perhaps ``pad_param`` (top, bottom, left, right).

    Returns:
        Shape ``(3, 3)``, for coordinates in which the centre of the first pixel is (0, 0).
    """
    if 'homography_matrix' in meta:
        return np.asarray(meta['homography_matrix'], float)
    rows, columns = np.divide(meta['img_shape'][:2], meta['ori_shape'][:2])
    scale = np.asarray(meta.get('scale_factor', (columns, rows)), float)[:2]
    top, _, left, _ = meta.get('pad_param', (0, 0, 0, 0))
    matrix = np.diag([*scale, 1.0])
    matrix[:2, 2] = (scale - 1) / 2 + (left, top)  # edges of images meet, not centres of pixels
    return matrix
