"""Overlaps of many pairs of boxes at once."""

import torch
from torch import Tensor

_CPU_PAIRS, _GPU_PAIRS = 2**19, 2**24
_LEAST_ROWS = 16


class Overlaps:
    """Measures of all pairs of two sets of boxes of each class.

    All work is done in the same memory, tile after tile. On a CPU that is several times as fast as
    ``torchvision.ops.box_iou`` and mmdet's ``bbox_overlaps``, whose intermediate results are new to the
    cache and to the memory manager each time. A result is therefore valid, and may be changed, until
    the next call of the same method.

    Args:
        boxes: Boxes of B classes, ``x1, y1, x2, y2, area``, shape ``(5, B, n)``: the greatest set.
    """

    def __init__(self, boxes: Tensor) -> None:
        self._pairs = _CPU_PAIRS if boxes.device.type == 'cpu' else _GPU_PAIRS
        columns = boxes[0].numel()
        self._memory = boxes.new_empty(5, max(self._pairs, columns * _LEAST_ROWS))

    def rows(self, columns: int) -> int:
        """How many boxes per class a tile may have if all classes' boxes in the other set are so many."""
        return max(_LEAST_ROWS, self._pairs // max(columns, 1))

    def iou(self, first: Tensor, second: Tensor) -> Tensor:
        """Intersection over union.

        Args:
            first: ``x1, y1, x2, y2, area``, shape ``(5, B, R)``.
            second: The same, shape ``(5, B, n)``.

        Returns:
            Shape ``(B, R, n)``; 0 with a box that is empty, that is whose ``x2 <= x1`` or ``y2 <= y1``.
        """
        left, right = first[..., None], second[:, :, None]
        overlap, height, spare, *_ = self._views(left, right)
        for extent, low, high in ((overlap, 0, 2), (height, 1, 3)):
            torch.minimum(left[high], right[high], out=extent)
            extent.sub_(torch.maximum(left[low], right[low], out=spare)).clamp_(min=0)
        overlap *= height
        union = torch.add(left[4], right[4], out=spare).sub_(overlap)
        return overlap.div_(union)

    def centre_distance(self, first: Tensor, second: Tensor, beta: float) -> Tensor:
        """Normalised distance between centres; leaves the result of :meth:`iou` valid.

        Args:
            first: ``x1, y1, x2, y2, area``, shape ``(5, B, R)``.
            second: The same, shape ``(5, B, n)``.
            beta: Exponent.

        Returns:
            ``(d^2 / c^2)^beta``, d the distance between the centres and c the diagonal of the smallest
            box around both, shape ``(B, R, n)``.
        """
        left, right = first[..., None], second[:, :, None]
        _, distance, diagonal, height, spare = self._views(left, right)
        torch.sub(left[0] + left[2], right[0] + right[2], out=distance).square_()
        torch.sub(left[1] + left[3], right[1] + right[3], out=spare)
        distance.addcmul_(spare, spare).mul_(0.25)
        torch.maximum(left[2], right[2], out=diagonal)
        diagonal.sub_(torch.minimum(left[0], right[0], out=spare)).square_()
        torch.maximum(left[3], right[3], out=height)
        height.sub_(torch.minimum(left[1], right[1], out=spare))
        diagonal.addcmul_(height, height).clamp_(min=torch.finfo(diagonal.dtype).tiny)
        distance /= diagonal
        return distance if beta == 1 else distance.pow_(beta)

    def diou(self, first: Tensor, second: Tensor, beta: float) -> Tensor:
        """Return :meth:`iou` less :meth:`centre_distance`."""
        return self.iou(first, second).sub_(self.centre_distance(first, second, beta))

    def _views(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        shape = (5, left.shape[1], left.shape[2], right.shape[3])
        return self._memory[:, : shape[1] * shape[2] * shape[3]].view(shape).unbind()
