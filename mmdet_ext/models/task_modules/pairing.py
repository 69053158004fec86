"""Slots from marking points alone, by geometry: for models and data that know no slots.

Batched tensor code over all pairs, without loops over points: it traces to ONNX.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdet_ext.structures.marking_points import L_SHAPE
from mmdet_ext.structures.slots import assemble_corners


@dataclass(frozen=True)
class Entrance:
    """What the entrance of one kind of slot may look like.

    Attributes:
        label: Slot type of such slots.
        length: Shortest and longest distance of the two points, pixels of a 600-pixel-high image.
        depth: Length of the separators in the same pixels.
        angle: Smallest and largest interior angle at p1, degrees.
    """

    label: int
    length: tuple[float, float]
    depth: float
    angle: tuple[float, float] = (60.0, 120.0)


def pair_points(
    points: dict[str, Tensor],
    height: int,
    entrances: tuple[Entrance, ...],
    max_slots: int,
    min_score: float = 0.2,
    tolerance: float = 20.0,
    blocking_radius: float = 15.0,
) -> dict[str, Tensor]:
    """Find the pairs of marking points that are the two ends of an entrance.

    Two points make a slot if their distance and angle fit one of ``entrances``, their directions say
    that the slot lies on the left of p1 -> p2 and agree with each other, and no third point lies between
    them. After the inference rules of DMPR-PS (Huang et al., DMPR-PS: A Novel Approach for
    Parking-Slot Detection Using Directional Marking-Point Regression, 2019), for any angle and
    without its thresholds, which are tied to one data set.

    Args:
        points: ``points`` (B, K, 2), ``scores`` (B, K), ``directions`` (B, K, 2) and ``shapes``
            (B, K).
        height: Of the network input in pixels.
        entrances: Kinds of slots; of several that fit, the first is taken.
        max_slots: Most slots of an image.
        min_score: Lowest score of a point that counts.
        tolerance: Largest angle in degrees between directions that agree.
        blocking_radius: A third point this close to the entrance lies between, pixels of 600.

    Returns:
        ``corners`` (B, M, 4, 2) in pixels, ``scores`` (B, M) (geometric mean of the points'; 0:
        nothing here), ``labels`` (B, M) and ``occupied_scores`` (B, M), which are NaN: unknown.
    """
    unit = height / 600
    place, direction = points['points'], points['directions']
    valid = points['scores'] >= min_score
    step = place[:, None] - place[:, :, None]  # (B, K, K, 2), from i (left end) to j (right end)
    length = step.norm(dim=-1).clamp(min=1e-6)
    along = step / length[..., None]
    cos_tolerance = math.cos(math.radians(tolerance))

    # An L at the right end points along the entrance (see structures.marking_points); all else
    # points into the slot.
    corner = (points['shapes'] == L_SHAPE)[:, None]
    left = direction[:, :, None].expand_as(step)
    right = torch.where(corner[..., None], left, direction[:, None])
    backwards = -(direction[:, None] * along).sum(-1)
    agrees = ((left * right).sum(-1) >= cos_tolerance) & (~corner | (backwards >= cos_tolerance))

    separator = F.normalize(left + right, dim=-1)
    inwards = separator[..., 0] * along[..., 1] - separator[..., 1] * along[..., 0]
    angle = torch.atan2(inwards, (separator * along).sum(-1)).rad2deg()
    kind, fits = _match_entrances(length / unit, angle, entrances)

    blocked = _is_blocked(place, valid, step, length, blocking_radius * unit)
    pair = valid[:, :, None] & valid[:, None] & agrees & fits & ~blocked
    scores = (points['scores'][:, :, None] * points['scores'][:, None]).sqrt() * pair
    scores, index = scores.flatten(1).topk(min(max_slots, scores[0].numel()))

    def chosen(values: Tensor) -> Tensor:
        values = values.flatten(1, 2)
        return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))

    p1 = chosen(place[:, :, None].expand_as(step))
    kind = kind.flatten(1).gather(1, index)
    depths = length.new_tensor([entrance.depth * unit for entrance in entrances])
    labels = torch.tensor([entrance.label for entrance in entrances], device=kind.device)
    return {
        'corners': assemble_corners(p1, p1 + chosen(step), chosen(separator), depths[kind]),
        'scores': scores,
        'labels': labels[kind],
        'occupied_scores': torch.full_like(scores, torch.nan),
    }


def _match_entrances(
    length: Tensor, angle: Tensor, entrances: tuple[Entrance, ...]
) -> tuple[Tensor, Tensor]:
    """Index of the first kind of entrance that fits, and whether any does, each ``(B, K, K)``."""
    fits = torch.stack(
        [
            (length >= entrance.length[0])
            & (length <= entrance.length[1])
            & (angle >= entrance.angle[0])
            & (angle <= entrance.angle[1])
            for entrance in entrances
        ],
        -1,
    )
    return fits.to(torch.uint8).argmax(-1), fits.any(-1)


def _is_blocked(
    place: Tensor, valid: Tensor, step: Tensor, length: Tensor, radius: float
) -> Tensor:
    """Whether a third point lies between two, ``(B, K, K)``."""
    along = step / length[..., None]
    gap = place[:, None, None] - place[:, :, None, None]  # (B, K, 1, K, 2), from i to the third
    onwards = (gap * along[:, :, :, None]).sum(-1)
    aside = gap[..., 0] * along[:, :, :, None, 1] - gap[..., 1] * along[:, :, :, None, 0]
    between = (onwards > radius) & (onwards < length[..., None] - radius)
    return (between & (aside.abs() < radius) & valid[:, None, None]).any(-1)
