"""Matrix NMS."""

from collections.abc import Iterator

import torch
from torch import Tensor

from .blocks import Block
from .overlaps import Overlaps
from .suppression import Selection, check_range, check_weights, class_aware_nms

_KERNELS = ('gaussian', 'linear')


def matrix_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    kernel: str = 'gaussian',
    sigma: float = 2.0,
    min_score: float = 0.05,
) -> tuple[Tensor, Tensor]:
    """Suppression by a decay of all scores at once, without a loop over boxes.

    Wang, Zhang, Kong, Li and Shen: SOLOv2: Dynamic and Fast Instance Segmentation, NeurIPS 2020,
    arXiv:2003.10152. mmdet's ``mask_matrix_nms`` is the same for masks.

    The score of box j is multiplied by the least ``f(IoU_ij) / f(c_i)`` over the better boxes i of its
    class, where ``c_i`` is the greatest IoU of i with a box that is better still and ``f(x)`` is
    ``exp(-sigma x^2)`` or ``1 - x``. Boxes do not change. No decay with the Gaussian kernel is stronger
    than ``exp(-sigma)``, 0.14 by default.

    Args:
        boxes: ``x1, y1, x2, y2``, shape ``(N, 4)``.
        scores: At least 0, shape ``(N,)``.
        labels: Class of each, shape ``(N,)``.
        kernel: ``gaussian`` or ``linear``.
        sigma: Of ``gaussian``, greater than 0.
        min_score: Boxes that decay below are dropped; 0.05 as in the paper.

    Returns:
        Boxes and decayed scores ``(K, 5)``, best first, and the position of each in the input, ``(K,)``.

    Raises:
        ValueError: An option or a shape does not fit, or a score is negative.
    """
    check_range('matrix_nms', 'sigma', sigma, 1e-9, 1e9)
    check_range('matrix_nms', 'min_score', min_score, 0, 1)
    if kernel not in _KERNELS:
        raise ValueError(
            f'matrix_nms: `kernel` is {kernel!r}: choose one of {", ".join(_KERNELS)}.'
        )

    def select(block: Block) -> Selection:
        check_weights('matrix_nms', block.scores)
        decayed = block.scores.clone()
        most = int(
            (decayed >= min_score).sum(1).max()
        )  # the rest goes, and decays nothing that stays
        best = block.best(most)
        decayed[:, :most] *= _gaussian(best, sigma) if kernel == 'gaussian' else _linear(best)
        return Selection(block.filled & (decayed >= min_score), decayed)

    return class_aware_nms(boxes, scores, labels, select)


def _gaussian(block: Block, sigma: float) -> Tensor:
    """The least ratio is that of the greatest difference of the exponents: one power per box."""
    excess = torch.zeros_like(block.scores)
    for later, overlaps, compensation in _later_overlaps(block):
        squares = torch.addcmul(-compensation.square(), overlaps, overlaps, out=overlaps)
        excess[:, later] = torch.maximum(excess[:, later], squares.amax(1))
    return excess.mul_(-sigma).exp_()


def _linear(block: Block) -> Tensor:
    decay = torch.ones_like(block.scores)
    for later, overlaps, compensation in _later_overlaps(block):
        # A duplicate has f(c) = 0. What it would decay, its better twin decays as well.
        ratio = 1 / (1 - compensation).clamp_(min=torch.finfo(decay.dtype).tiny)
        ratios = torch.sub(1, overlaps, out=overlaps).mul_(ratio)
        decay[:, later] = torch.minimum(decay[:, later], ratios.amin(1))
    return decay


def _later_overlaps(block: Block) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Go through tiles of boxes, best first.

    Yields:
        All places from the first box of the tile on, the IoU of its boxes with those ``(B, R, n)``, 0
        unless the latter is worse, and the greatest IoU of each with a better one ``(B, R, 1)``.
    """
    overlaps, width = Overlaps(block.boxes), block.filled.shape[1]
    size = overlaps.rows(block.filled.numel())
    greatest = torch.zeros_like(block.scores)
    for start in range(0, width, size):
        rows, later = slice(start, min(start + size, width)), slice(start, width)
        found = overlaps.iou(block.boxes[..., rows], block.boxes[..., later])
        height = found.shape[1]
        found[..., :height] = found[..., :height].triu(1)
        greatest[:, later] = torch.maximum(greatest[:, later], found.amax(1))
        yield later, found, greatest[:, rows, None]
