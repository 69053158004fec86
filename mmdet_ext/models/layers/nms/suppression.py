"""What the variants share: greedy suppression in tiles, what the kept boxes overlap, results."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .blocks import Block, blocks_by_class
from .overlaps import Overlaps


@dataclass(frozen=True)
class Selection:
    """What a variant makes of a block.

    Attributes:
        keep: Boxes that survive, shape ``(B, n)``.
        scores: New scores, shape ``(B, n)``; None: as they were.
        boxes: New boxes, shape ``(4, B, n)``; None: as they were.
    """

    keep: Tensor
    scores: Tensor | None = None
    boxes: Tensor | None = None


def class_aware_nms(
    boxes: Tensor, scores: Tensor, labels: Tensor, select: Callable[[Block], Selection]
) -> tuple[Tensor, Tensor]:
    """Apply a variant to the boxes of each class.

    Computed in float32, or in float64 if the input is, outside of autocast and without gradient.

    Args:
        boxes: ``x1, y1, x2, y2``, shape ``(N, 4)``.
        scores: Shape ``(N,)``.
        labels: Class of each, shape ``(N,)``.
        select: The variant.

    Returns:
        Boxes and scores ``(K, 5)`` in the type of the input, best first, and the position of each in
        the input, ``(K,)``.

    Raises:
        ValueError: A shape does not fit.
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes) == len(scores) == len(labels):
        shapes = ', '.join(str(tuple(values.shape)) for values in (boxes, scores, labels))
        raise ValueError(
            'This NMS takes boxes (N, 4), scores (N,) and labels (N,), but their shapes are '
            f'{shapes}: for rotated boxes choose `nms_rotated` of mmcv.'
        )
    with torch.inference_mode(), torch.autocast(boxes.device.type, enabled=False):
        found = [_selected(b, select(b)) for b in blocks_by_class(boxes, scores, labels)]
    if not found:
        return boxes.new_zeros(0, 5), torch.zeros(0, dtype=torch.long, device=boxes.device)
    with torch.inference_mode():
        index, new_scores, new_boxes = (_joined(parts) for parts in zip(*found, strict=True))
        ranks = scores[index] if new_scores is None else new_scores
        order = ranks.sort(descending=True, stable=True).indices
        index = index[order]
    index, order = index.clone(), order.clone()  # fit for autograd, as what inference makes is not
    boxes = boxes.index_select(0, index) if new_boxes is None else new_boxes[order].to(boxes.dtype)
    scores = scores[index] if new_scores is None else new_scores[order].to(scores.dtype)
    return torch.cat([boxes, scores[:, None]], -1), index


def suppress(
    block: Block,
    measure: Callable[[Tensor, Tensor], Tensor],
    overlaps: Overlaps,
    limit: float | Tensor,
) -> Tensor:
    """Greedy suppression: a box goes if it overlaps a kept better one of its class by too much.

    Takes tile after tile of the best boxes that are left. Within a tile, boxes are removed by all that
    are still there until nothing changes, which gives what the greedy loop gives and needs as many
    rounds as chains of suppression are long (Zheng et al., 2021, prove it of Cluster-NMS). Then the
    kept ones remove others from the rest.

    Args:
        block: The boxes.
        measure: Takes boxes ``(5, B, R)`` and ``(5, B, n)``, gives numbers ``(B, R, n)`` to change.
        overlaps: What it works with.
        limit: Boxes of a greater measure are removed; a number, or one of each better box ``(B, n)``.

    Returns:
        The boxes that are kept, shape ``(B, n)``.
    """
    keep, boxes, left = torch.zeros_like(block.filled), block.boxes, block.filled
    places = torch.arange(left.shape[1], device=left.device).expand_as(left)
    while places.shape[1]:
        size = min(overlaps.rows(left.numel()), left.shape[1])
        hits = measure(boxes[..., :size], boxes)
        limits = limit.gather(1, places)[:, :size, None] if isinstance(limit, Tensor) else limit
        torch.gt(hits, limits, out=hits)  # zeros and ones as numbers: faster than as bools
        kept = _settle(hits[..., :size].triu(1), left[:, :size])
        keep.scatter_(1, places[:, :size], kept)
        hits *= kept[..., None]
        rest = left[:, size:] & (hits[..., size:].amax(1) == 0)
        order = _trues_first(rest)
        left = rest.gather(1, order)
        places = places[:, size:].gather(1, order)
        boxes = boxes[..., size:].gather(2, order.expand(5, -1, -1))
    return keep


def kept_overlaps(
    block: Block, keep: Tensor, overlaps: Overlaps
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Go through the kept boxes of a block and the IoU of each with all boxes of its class.

    Args:
        block: The boxes.
        keep: The kept ones, shape ``(B, n)``.
        overlaps: To work with.

    Yields:
        Their places ``(B, R)``, which of these are no padding ``(B, R)``, and the IoU ``(B, R, n)``, to
        be changed.
    """
    places = _trues_first(keep)
    for part in places.split(overlaps.rows(keep.numel()), 1) if places.numel() else ():
        boxes = block.boxes.gather(2, part.expand(5, -1, -1))
        yield part, keep.gather(1, part), overlaps.iou(boxes, block.boxes)


def weighted_mean(weights: Tensor, block: Block, precision: Tensor | None = None) -> Tensor:
    """Mean boxes.

    Args:
        weights: Of all boxes of a class for each mean, shape ``(B, R, n)``.
        block: The boxes.
        precision: A factor of the weights per coordinate, shape ``(B, n, 4)``.

    Returns:
        Shape ``(4, B, R)``; NaN where all weights are zero.
    """
    boxes = block.boxes[:4].permute(1, 2, 0)
    factor = torch.ones_like(boxes) if precision is None else precision
    return (torch.bmm(weights, boxes * factor) / torch.bmm(weights, factor)).permute(2, 0, 1)


def replaced(boxes: Tensor, places: Tensor, present: Tensor, means: Tensor) -> None:
    """Write means ``(4, B, R)`` to their places ``(B, R)``, but neither padding nor NaN."""
    places = places.expand(4, -1, -1)
    means = torch.where(present & ~means.isnan(), means, boxes.gather(2, places))
    boxes.scatter_(2, places, means)


def check_range(variant: str, option: str, value: float, low: float, high: float) -> None:
    """Check a number of a config.

    Raises:
        ValueError: It is no number, or not within ``low`` and ``high`` (inclusive).
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(
            f'{variant}: `{option}` is {value!r}, but must be a number from {low:g} to {high:g}: '
            'correct it in the `nms` of the test_cfg.'
        )


def check_weights(variant: str, scores: Tensor) -> None:
    """Check scores that boxes or scores are weighted by.

    Raises:
        ValueError: One is negative.
    """
    least = scores.min() if scores.numel() else 0
    if least < 0:
        raise ValueError(
            f'{variant} weights by the scores, but the least of them is {float(least):.4g}: pass '
            'probabilities, such as a sigmoid gives, not logits.'
        )


def _settle(hits: Tensor, there: Tensor) -> Tensor:
    """Remove boxes ``(B, R)`` that a better one which stays hits, ``hits`` being upper triangular."""
    keep, before = there, None
    while before is None or not torch.equal(keep, before):
        before = keep
        removed = torch.bmm(keep[:, None].to(hits.dtype), hits)[:, 0]
        keep = there & (removed == 0)
    return keep


def _trues_first(mask: Tensor) -> Tensor:
    """Places of the True in rows ``(B, n)``, in order, padded by others to the most of a row."""
    most = int(mask.sum(1).max())
    return mask.byte().argsort(dim=1, descending=True, stable=True)[:, :most]


def _selected(block: Block, chosen: Selection) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Indices ``(K,)``, scores ``(K,)`` and boxes ``(K, 4)`` of what is kept."""
    kept = chosen.keep.flatten().nonzero()[:, 0]
    scores = None if chosen.scores is None else chosen.scores.flatten()[kept]
    boxes = None if chosen.boxes is None else chosen.boxes.flatten(1)[:, kept].T
    return block.index.flatten()[kept], scores, boxes


def _joined(parts: tuple[Tensor | None, ...]) -> Tensor | None:
    return None if parts[0] is None else torch.cat(parts)
