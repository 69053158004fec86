"""One answer out of several about the same image: of its augmented copies, or of several models."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from mmdet_ext.structures.slots import clipped_boxes, entrance_distances, transform_points

from ..task_modules.dense_points import suppress

_WEIGHT, _SOURCE = 'weights', 'sources'


@dataclass
class View:
    """What was found in one copy of an image, or by one model.

    Attributes:
        slots: With ``corners (M, 4, 2)`` and ``scores (M,)``, in pixels of the original image.
        points: With ``points (N, 2)`` and ``scores (N,)``, likewise.
        weight: How much it counts.
        matrix: From the original image to the copy, ``(3, 3)``; None if the copy shows all of it.
        size: Width and height of the copy in pixels, with ``matrix``.
    """

    slots: InstanceData
    points: InstanceData
    weight: float = 1.0
    matrix: np.ndarray | None = None
    size: tuple[int, int] | None = None

    def shows(self, positions: Tensor) -> Tensor:
        """Which positions ``(N, 2)`` of the original image lie in the copy, ``(N,)``."""
        if self.matrix is None:
            return torch.ones(len(positions), dtype=torch.bool, device=positions.device)
        moved = transform_points(positions.detach().cpu().numpy(), self.matrix)
        inside = (moved >= -0.5) & (moved <= np.array(self.size) - 0.5)
        return torch.from_numpy(inside.all(-1)).to(positions.device)


def merge_views(
    views: Sequence[View],
    width: int,
    height: int,
    point_radius: float = 10.0,
    slot_radius: float = 30.0,
) -> tuple[InstanceData, InstanceData]:
    """Merge what several views found.

    Predictions of one object are found by their distance. The merged position, and whether a slot is
    occupied, is their mean, weighted by score and view; by these weights they also vote on classes and
    directions. The merged score is the sum of theirs, over the views that show the place: what only
    some of them found loses score.

    Args:
        views: At least one.
        width: Of the original image in pixels.
        height: Likewise.
        point_radius: Points this close are one, pixels of a 600-pixel-high image.
        slot_radius: Slots whose entrance corners are this close, in order, are one, likewise.

    Returns:
        Slots and points, each in descending order of score.
    """
    unit = height / 600
    points = _joined(views, 'points')
    near = torch.cdist(points.points, points.points) < point_radius * unit
    points = _merge(points, near, views, ('points',), points.points)
    slots = _joined(views, 'slots')
    near = entrance_distances(slots.corners, slots.corners) < slot_radius * unit
    places = slots.corners[:, :2].mean(1)  # where a slot is detected
    slots = _merge(slots, near, views, ('corners', 'occupied_scores'), places)
    slots.bboxes = clipped_boxes(slots.corners, width, height)
    return slots, points


def _joined(views: Sequence[View], kind: str) -> InstanceData:
    """Predictions of all views, the weightiest first, with weight and number of their views."""
    parts = [getattr(view, kind) for view in views]
    common = set.intersection(*(set(part.keys()) for part in parts))
    rows = []
    for number, (view, part) in enumerate(zip(views, parts, strict=True)):
        fields = {key: part[key] for key in common}
        fields[_WEIGHT] = part.scores * view.weight
        fields[_SOURCE] = torch.full_like(part.scores, number, dtype=torch.long)
        rows.append(InstanceData(**fields))
    joined = InstanceData.cat(rows)
    return joined[joined[_WEIGHT].argsort(descending=True, stable=True)]


def _merge(
    found: InstanceData,
    near: Tensor,
    views: Sequence[View],
    averaged: Sequence[str],
    places: Tensor,
) -> InstanceData:
    kept = suppress(found[_WEIGHT][None].clamp(min=1e-9), (~near).to(places)[None], 0.5)[0] > 0
    weight = near[kept].to(places) * found[_WEIGHT]
    total = weight.sum(1)
    share = weight / total.clamp(min=1e-9)[:, None]
    merged = found[kept]
    for key, values in found.items():
        if key in averaged:
            merged[key] = torch.tensordot(share, values.to(places), dims=1)
        elif key == 'directions':
            merged[key] = values[_most_agreed((values @ values.T).clamp(min=0), share, near[kept])]
        elif key != _SOURCE and not values.is_floating_point():  # classes
            merged[key] = values[
                _most_agreed((values[:, None] == values).to(places), share, near[kept])
            ]
    of_views = places.new_tensor([view.weight for view in views])
    shown = torch.stack([view.shows(places[kept]) for view in views]).to(places)
    voices = near[kept].to(places) @ of_views[found[_SOURCE]]
    merged.scores = total / torch.maximum(of_views @ shown, voices)
    for key in (_WEIGHT, _SOURCE):
        merged.pop(key)
    return merged[merged.scores.argsort(descending=True, stable=True)]


def _most_agreed(agreement: Tensor, share: Tensor, near: Tensor) -> Tensor:
    """Which of those that are merged, ``near (K, N)``, the others agree with most, ``(K,)``."""
    votes = (share @ agreement).masked_fill(~near, -1)
    return votes.argmax(1) if len(votes) else votes.new_zeros(0, dtype=torch.long)
