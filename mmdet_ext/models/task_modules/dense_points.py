"""Dense maps of points: targets for training, peaks for decoding.

A cell (column i, row j) of a map with stride s covers the pixels whose centres fall into
``[i s - 0.5, (i + 1) s - 0.5)``; positions on a map are continuous, ``u = (x + 0.5) / s``, so that
cell i has its centre at ``i + 0.5``. Everything is batched tensor code that traces to ONNX.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def cell_centres(height: int, width: int, like: Tensor) -> Tensor:
    """Centres of the cells in map units.

    Args:
        height: Rows of the map.
        width: Columns of the map.
        like: Tensor whose device and dtype are used.

    Returns:
        Shape ``(height * width, 2)`` as x, y.
    """
    y, x = torch.meshgrid(
        torch.arange(height, device=like.device, dtype=like.dtype) + 0.5,
        torch.arange(width, device=like.device, dtype=like.dtype) + 0.5,
        indexing='ij',
    )
    return torch.stack([x, y], -1).flatten(0, 1)


def assign_cells(
    points: Tensor, valid: Tensor, height: int, width: int, sigma: float, radius: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Assign every cell to its nearest point.

    The confidence target is a Gaussian of the distance, and exactly 1 at the cell that holds a point, as
    in CenterNet (Zhou et al., Objects as Points, 2019). Regression is supervised in a small disc
    around each point, so that a peak one cell off still decodes to the right position.

    Args:
        points: Positions in map units, ``(B, N, 2)``.
        valid: Which entries are points and not padding, ``(B, N)``.
        height: Rows of the map.
        width: Columns of the map.
        sigma: Standard deviation of the Gaussian in cells.
        radius: Radius of the disc in cells.

    Returns:
        Confidence target ``(B, H * W)``, whether a cell is supervised ``(B, H * W)``, and the
        index of its nearest point ``(B, H * W)`` (0 where there is none).
    """
    if points.shape[1] == 0:
        flat = points.new_zeros(len(points), height * width)
        return flat, flat.bool(), flat.long()
    gap = cell_centres(height, width, points)[None, :, None] - points[:, None]
    squared = torch.where(valid[:, None], (gap**2).sum(-1), torch.inf)
    distance, index = squared.min(-1)
    nearest = gap.gather(2, index[..., None, None].expand(-1, -1, 1, 2)).squeeze(2).abs().amax(-1)
    centre = (nearest <= 0.5) & distance.isfinite()
    heat = torch.exp(-distance / (2 * sigma**2))
    return torch.where(centre, 1.0, heat), (distance <= radius**2) | centre, index


def find_peaks(heat: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The highest local maxima of a map.

    Args:
        heat: Confidence after the sigmoid, ``(B, 1, H, W)``.
        count: How many to return at most.

    Returns:
        Scores ``(B, K)`` in descending order (0 where there are fewer peaks) and cell indices
        ``(B, K)``, ``K = min(count, H * W)``.
    """
    peak = F.max_pool2d(heat, 3, stride=1, padding=1) == heat
    flat = (heat * peak).flatten(1)
    return flat.topk(min(count, flat.shape[1]))


def gather_cells(maps: Tensor, index: Tensor) -> Tensor:
    """Read maps at cells.

    Args:
        maps: Shape ``(B, C, H, W)``.
        index: Cell indices, ``(B, K)``.

    Returns:
        Shape ``(B, K, C)``.
    """
    index = index[:, None].expand(-1, maps.shape[1], -1)
    return maps.flatten(2).gather(2, index).transpose(1, 2)


def suppress(scores: Tensor, distance: Tensor, radius: float) -> Tensor:
    """Zero the scores of entries that lie within ``radius`` of one with a higher score.

    Entries must be in descending order of score. Unlike greedy suppression an entry also suppresses when it is
    itself suppressed, which needs no loop and differs only in chains shorter than the
    distance of two real objects.

    Args:
        scores: Shape ``(B, K)``.
        distance: Between entries, ``(B, K, K)``.
        radius: In the unit of ``distance``.

    Returns:
        Shape ``(B, K)``.
    """
    close = (distance < radius).to(scores.dtype)
    better = torch.triu(close, diagonal=1).sum(1)
    return scores * (better == 0)
