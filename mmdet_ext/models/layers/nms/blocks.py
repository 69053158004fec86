"""Boxes by class, sorted and padded, so that the classes of an image are suppressed side by side."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_COLUMNS = 8192  # padded boxes in a block; a tile of some 32 rows then fits into a CPU's cache
_SPARE_PAIRS = 2**20


@dataclass(frozen=True)
class Block:
    """The boxes of B classes with about as many boxes each, at most n; best first.

    Boxes of equal score are ordered by their coordinates, so that results do not depend on the order
    of the input.

    Attributes:
        boxes: ``x1, y1, x2, y2, area`` in float32 or float64, shape ``(5, B, n)``; padded with empty
            boxes. The area of an empty box is 1, so that its IoU is 0 / 1 rather than 0 / 0.
        scores: Shape ``(B, n)``; zero where padded.
        index: Position of each box in the input, shape ``(B, n)``.
        filled: False where padded, shape ``(B, n)``.
    """

    boxes: Tensor
    scores: Tensor
    index: Tensor
    filled: Tensor

    def best(self, most: int) -> 'Block':
        """Return the block of the best boxes of each class, so many at most."""
        parts = (self.boxes, self.scores, self.index, self.filled)
        return Block(*(part[..., :most] for part in parts))


def blocks_by_class(boxes: Tensor, scores: Tensor, labels: Tensor) -> Iterator[Block]:
    """Sort boxes into blocks.

    Boxes with a coordinate, area or score that is NaN or infinite are left out.

    Args:
        boxes: ``x1, y1, x2, y2`` of any floating type, shape ``(N, 4)``.
        scores: Shape ``(N,)``.
        labels: Class of each, shape ``(N,)``.

    Yields:
        Blocks, those with the most boxes per class first.
    """
    double = torch.float64 in (boxes.dtype, scores.dtype)
    boxes, scores = (values.double() if double else values.float() for values in (boxes, scores))
    width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    area = width * height  # not finite if a corner is not
    finite = (area.isfinite() & scores.isfinite()).nonzero()[:, 0]
    area = torch.where((width > 0) & (area > 0), area, 1)
    order = _sorted(finite, boxes, scores, labels)
    counts = torch.unique_consecutive(labels[order], return_counts=True)[1]
    starts = counts.cumsum(0) - counts
    columns = torch.cat([boxes.T, area[None], scores[None]]).index_select(1, order)
    sizes = counts.tolist()
    for classes in _of_similar_size(sizes):
        picked = torch.tensor(classes, device=boxes.device)
        place = torch.arange(sizes[classes[0]], device=boxes.device)
        filled = place < counts[picked, None]
        source = (starts[picked, None] + place).clamp_(max=len(order) - 1)
        padded = columns.index_select(1, source.flatten()).view(6, *source.shape).mul_(filled)
        padded[4].masked_fill_(~filled, 1)
        yield Block(padded[:5], padded[5], order[source], filled)


def _sorted(order: Tensor, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
    """Sort positions by class, then score, then coordinates."""
    order = _then_by(_then_by(order, scores, descending=True), labels)
    same = (scores[order].diff() == 0) & (labels[order].diff() == 0)
    if same.any():  # seldom, and four more sorts
        for column in reversed(boxes.unbind(1)):
            order = _then_by(order, column)
        order = _then_by(_then_by(order, scores, descending=True), labels)
    return order


def _then_by(order: Tensor, key: Tensor, descending: bool = False) -> Tensor:
    return order[key[order].sort(stable=True, descending=descending).indices]


def _of_similar_size(counts: list[int]) -> Iterator[list[int]]:
    """Group classes, widest first, so that the pairs lost to padding cost less than another block."""
    group, spare = [], 0
    for label in sorted(range(len(counts)), key=lambda i: -counts[i]):
        width = counts[group[0]] if group else counts[label]
        spare += (width**2 - counts[label] ** 2) // 2
        if group and (spare > _SPARE_PAIRS or (len(group) + 1) * width > _COLUMNS):
            yield group
            group, spare = [], 0
        group.append(label)
    if group:
        yield group
