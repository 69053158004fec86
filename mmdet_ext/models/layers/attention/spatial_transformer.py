"""Spatial transformer (STN)."""

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from torch import Tensor, nn

from .base import AttentionLayer, at_least_float32


@MODELS.register_module()
class SpatialTransformer(AttentionLayer):
    """Spatial transformer (STN): an affine warp of the map; the identity at the start.

    Jaderberg, Simonyan, Zisserman and Kavukcuoglu: Spatial Transformer Networks, NeurIPS 2015,
    arXiv:1506.02025.

    ``y(p) = x(A(x) [p, 1])``, sampled bilinearly, zero outside; p runs from -1 to 1, the affine matrix
    A is regressed from the whole map.

    What it warps no longer lies where the boxes are: in a detector use it inside a residual branch
    (a ResNet plugin), not in the neck. Sampling is exported as ONNX ``GridSample`` (opset 16).

    Args:
        in_channels: Channels of the maps.
        reduction: A is regressed from ``in_channels // reduction`` channels.
        pooled_size: Side of the map that it is regressed from.
        hidden: Hidden units of the regression.
        norm_cfg: Normalisation.
        init_cfg: As for any mmengine module.
    """

    def __init__(
        self,
        in_channels: int,
        reduction: int = 4,
        pooled_size: int = 4,
        hidden: int = 32,
        norm_cfg: dict = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(in_channels, init_cfg)
        self.pooled_size = pooled_size
        reduced = self.reduce(reduction)
        self.conv = ConvModule(in_channels, reduced, 3, padding=1, norm_cfg=norm_cfg)
        self.hidden = nn.Linear(reduced * pooled_size**2, hidden)
        self.affine = nn.Linear(hidden, 6)
        self._start_with_the_identity()

    def init_weights(self) -> None:
        """Initialise and start with the identity, whatever ``init_cfg`` of a parent says."""
        super().init_weights()
        self._start_with_the_identity()

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        pooled = adaptive_average(self.conv(x), self.pooled_size)
        matrices = self.affine(self.hidden(pooled.flatten(1)).relu()).reshape(-1, 2, 3)
        # Half precision has too few digits for positions.
        with torch.autocast(x.device.type, enabled=False):
            grid = sampling_grid(at_least_float32(matrices), x.shape[2], x.shape[3])
            full = at_least_float32(x)
            return F.grid_sample(full, grid.to(full.dtype), align_corners=False).to(x.dtype)

    def _start_with_the_identity(self) -> None:
        nn.init.zeros_(self.affine.weight)
        with torch.no_grad():
            self.affine.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))


def sampling_grid(matrices: Tensor, height: int, width: int) -> Tensor:
    """``F.affine_grid`` without ``align_corners``, in operations that ONNX opset 16 has.

    Args:
        matrices: Affine matrices ``(B, 2, 3)``.
        height: Of the output in pixels.
        width: Of the output in pixels.

    Returns:
        Positions x, y ``(B, height, width, 2)`` from -1 to 1.
    """
    x = _centres(width, matrices)[None, :, None]
    y = _centres(height, matrices)[:, None, None]
    columns = matrices[:, None, None]  # (B, 1, 1, 2, 3)
    return columns[..., 0] * x + columns[..., 1] * y + columns[..., 2]


def adaptive_average(x: Tensor, bins: int) -> Tensor:
    """``F.adaptive_avg_pool2d``, which ONNX has only for sizes that are multiples of the bins.

    Args:
        x: Maps ``(B, C, H, W)``.
        bins: Height and width of the output.

    Returns:
        Means ``(B, C, bins, bins)``.
    """
    rows, columns = _bin_weights(x.shape[2], bins, x), _bin_weights(x.shape[3], bins, x)
    return rows @ x @ columns.transpose(0, 1)


def _bin_weights(size: int, bins: int, like: Tensor) -> Tensor:
    """What each of ``size`` pixels counts in each bin's mean ``(bins, size)``."""
    pixels = torch.arange(size, device=like.device)
    bin_ids = torch.arange(bins, device=like.device)[:, None]
    starts, ends = bin_ids * size // bins, ((bin_ids + 1) * size + bins - 1) // bins
    inside = ((pixels >= starts) & (pixels < ends)).to(like.dtype)
    return inside / inside.sum(1, keepdim=True)


def _centres(size: int, like: Tensor) -> Tensor:
    return (2 * torch.arange(size, dtype=like.dtype, device=like.device) + 1) / size - 1
