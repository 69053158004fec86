"""From dense maps to marking points and slots, in the frame of the network input.

Batched tensor code without data-dependent loops: it traces to ONNX. Radii are in pixels of a
600-pixel-high input, like all distances of this package.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdet_ext.structures.slots import assemble_corners, entrance_distances, separator

from .dense_points import cell_centres, find_peaks, gather_cells, suppress
from .pairing import Entrance, pair_points


@dataclass(frozen=True)
class DecodingConfig:
    """What the head's ``test_cfg`` may set.

    Attributes:
        score_thr: Lowest score that is returned.
        max_points: Most marking points of an image.
        max_slots: Most slots of an image.
        point_radius: A point this close to a better one is dropped, pixels of 600.
        slot_radius: A slot both of whose entrance corners are this close to those of a better one
            is dropped, pixels of 600.
        snap_radius: An entrance corner moves to the nearest marking point if it is this close,
            pixels of 600 (entrances are wider than 120); 0 leaves the corners alone.
        snap_score: Lowest score of a point that a corner moves to.
        fuse_scores: Let points and slots vouch for each other, see :func:`fuse_scores`; not for models
            of which only one branch is trained.
        entrance_margin: Slots whose entrance corners lie further outside the image are dropped,
            pixels of 600; data sets label no such slots.
        pairing: None takes slots from the slot branch; ``geometric`` makes them of the points, for
            models trained on data without slots.
        entrances: What pairs of points are slots then, as :class:`Entrance` or its fields.

    Raises:
        ValueError: An unknown ``pairing``, or one without ``entrances``.
    """

    score_thr: float = 0.05
    max_points: int = 64
    max_slots: int = 32
    point_radius: float = 10.0
    slot_radius: float = 40.0
    snap_radius: float = 45.0
    snap_score: float = 0.2
    fuse_scores: bool = True
    entrance_margin: float = 5.0
    pairing: str | None = None
    entrances: tuple[Entrance, ...] = ()

    def __post_init__(self) -> None:
        if self.pairing not in (None, 'geometric'):
            raise ValueError(f"test_cfg.pairing is {self.pairing!r}; expected 'geometric' or None.")
        if self.pairing and not self.entrances:
            raise ValueError(
                "test_cfg.pairing is 'geometric', but test_cfg.entrances is empty: list what slots may "
                'look like, e.g. [dict(label=0, length=(110, 180), depth=290)] in pixels of a '
                '600-pixel-high image.'
            )
        entrances = [e if isinstance(e, Entrance) else Entrance(**e) for e in self.entrances]
        object.__setattr__(self, 'entrances', tuple(entrances))


def split_point_maps(maps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Split the channels of the point branch.

    Args:
        maps: Shape ``(B, 5 + S, H, W)``.

    Returns:
        Confidence logits (1), offset from the cell centre in cells (2), direction (2) and shape
        logits (S).
    """
    return maps.split([1, 2, 2, maps.shape[1] - 5], 1)


def split_slot_maps(maps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Split the channels of the slot branch.

    Args:
        maps: Shape ``(B, 9 + C, H, W)``.

    Returns:
        Confidence logits (1), entrance (4: offset of the midpoint from the cell centre in cells,
        then half of p2 - p1 in :data:`ENTRANCE_UNIT` cells), separator (3: direction, logarithm
        of the depth in the same unit), occupancy logits (1, at the slot's :func:`centre_cells`) and
        type logits (C).
    """
    return maps.split([1, 4, 3, 1, maps.shape[1] - 9], 1)


ENTRANCE_UNIT = 8
"""Cells per unit of half entrances and depths: brings these regression targets near 1."""


def decode_points(maps: Tensor, stride: int, config: DecodingConfig) -> dict[str, Tensor]:
    """Decode the point branch.

    Args:
        maps: Shape ``(B, 5 + S, H, W)``.
        stride: Of the maps, in pixels.
        config: Counts and radii.

    Returns:
        ``points`` (B, K, 2) in pixels, ``scores`` (B, K) (0: nothing here), ``directions``
        (B, K, 2) and ``shapes`` (B, K).
    """
    confidence, offset, direction, shape = split_point_maps(maps)
    scores, index = find_peaks(confidence.sigmoid(), config.max_points)
    cells = cell_centres(*maps.shape[-2:], maps)[index]
    points = (cells + gather_cells(offset, index)) * stride - 0.5
    return {
        'points': points,
        'scores': scores,
        'directions': F.normalize(gather_cells(direction, index), dim=-1),
        'shapes': gather_cells(shape, index).argmax(-1),
    }


def decode_slots(maps: Tensor, stride: int, config: DecodingConfig) -> dict[str, Tensor]:
    """Decode the slot branch.

    Args:
        maps: Shape ``(B, 9 + C, H, W)``.
        stride: Of the maps, in pixels.
        config: Counts and radii.

    Returns:
        ``corners`` (B, K, 4, 2) in pixels, ``scores`` (B, K) (0: nothing here), ``labels`` (B, K)
        and ``occupied_scores`` (B, K).
    """
    confidence, entrance, separating, occupied, types = split_slot_maps(maps)
    scores, index = find_peaks(confidence.sigmoid(), config.max_slots)
    cells = cell_centres(*maps.shape[-2:], maps)[index]
    offset, half = gather_cells(entrance, index).split(2, -1)
    direction, depth = gather_cells(separating, index).split([2, 1], -1)
    middle = (cells + offset) * stride - 0.5
    half = half * (ENTRANCE_UNIT * stride)
    corners = assemble_corners(
        middle - half,
        middle + half,
        F.normalize(direction, dim=-1),
        depth.squeeze(-1).clamp(max=4).exp() * (ENTRANCE_UNIT * stride),
    )
    _, places = centre_cells((corners + 0.5) / stride, *maps.shape[-2:])
    return {
        'corners': corners,
        'scores': scores,
        'labels': gather_cells(types, index).argmax(-1),
        'occupied_scores': gather_cells(occupied, places).squeeze(-1).sigmoid(),
    }


def centre_cells(corners: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where the car of a slot stands: its occupancy is learned and read there.

    At the entrance, like the rest of a slot, it is learned late or not at all: the answer would
    depend on a car in the direction that is itself only just being learned.

    Args:
        corners: In map units, ``(..., 4, 2)``.
        height: Rows of the map.
        width: Columns of the map.

    Returns:
        Centres kept inside the map, ``(..., 2)``, and the indices of their cells ``(...)``.
    """
    limit = corners.new_tensor([width, height]) - 0.5
    centre = corners.mean(-2).clamp(min=0.5).minimum(limit)
    column, row = centre.long().unbind(-1)
    return centre, row * width + column


def suppress_points(points: dict[str, Tensor], height: int, config: DecodingConfig) -> None:
    """Suppress double points, in place.

    Args:
        points: As :func:`decode_points` gives them.
        height: Of the network input in pixels.
        config: Radii.
    """
    distance = torch.cdist(points['points'], points['points'])
    points['scores'] = suppress(points['scores'], distance, config.point_radius * height / 600)


def refine_slots(
    slots: dict[str, Tensor], points: dict[str, Tensor], height: int, config: DecodingConfig
) -> None:
    """Snap slots to the points, suppress double slots, fuse the scores of both; in place.

    Args:
        slots: As :func:`decode_slots` gives them.
        points: As :func:`suppress_points` leaves them.
        height: Of the network input in pixels.
        config: Radii.
    """
    unit = height / 600
    if config.snap_radius > 0:
        slots['corners'] = snap_entrances(
            slots['corners'],
            points['points'],
            points['scores'],
            config.snap_radius * unit,
            config.snap_score,
        )
    distance = entrance_distances(slots['corners'], slots['corners'])
    slots['scores'] = suppress(slots['scores'], distance, config.slot_radius * unit)
    if config.fuse_scores:
        fuse_scores(slots, points, config.point_radius * unit)


def fuse_scores(slots: dict[str, Tensor], points: dict[str, Tensor], radius: float) -> None:
    """Let slots and the points they hang on vouch for each other, in place.

    A slot's score becomes the geometric mean of its own and those of the points at its two entrance
    corners, at least 0.05 each: a junction may be hidden. A point's becomes the geometric mean of its
    own and that of the best slot hanging on it, if that is higher: no point needs a slot.

    Args:
        slots: As :func:`decode_slots` gives them; put in descending order of the new scores.
        points: As :func:`decode_points` gives them; likewise.
        radius: A corner this close to a point hangs on it, in pixels.
    """
    entrances = slots['corners'][:, :, :2].flatten(1, 2)
    hangs = (torch.cdist(entrances, points['points']) <= radius).to(entrances.dtype)
    support = (hangs * points['scores'][:, None]).amax(-1).clamp(min=0.05)
    best_slot = (hangs * slots['scores'].repeat_interleave(2, 1)[..., None]).amax(1)
    slots['scores'] = (slots['scores'] * support.unflatten(1, (-1, 2)).prod(-1)).pow(1 / 3)
    points['scores'] = (points['scores'] * best_slot.maximum(points['scores'])).sqrt()
    for found in (slots, points):
        found['scores'], order = found['scores'].sort(descending=True)
        for key, values in found.items():
            if key != 'scores':
                index = order.view(*order.shape, *[1] * (values.dim() - 2)).expand_as(values)
                found[key] = values.gather(1, index)


def paired_slots(
    points: dict[str, Tensor], height: int, config: DecodingConfig
) -> dict[str, Tensor]:
    """Slots made of points alone; see :func:`~.pairing.pair_points`."""
    return pair_points(points, height, config.entrances, config.max_slots, config.snap_score)


def snap_entrances(
    corners: Tensor, points: Tensor, scores: Tensor, radius: float, min_score: float
) -> Tensor:
    """Move entrance corners onto the marking points they land on.

    The global slot knows which two junctions belong together, the local point knows where they
    are; combining the two follows Suhr and Jung (End-to-End Trainable One-Stage Parking Slot
    Detection Integrating Global and Local Information, 2020).

    Args:
        corners: Shape ``(B, M, 4, 2)``.
        points: Shape ``(B, N, 2)``.
        scores: Of the points, ``(B, N)``.
        radius: Furthest point that a corner moves to, in pixels.
        min_score: Lowest score of such a point.

    Returns:
        Corners with the same separator direction and depth, ``(B, M, 4, 2)``.
    """
    direction, depth = separator(corners)
    entrance = corners[:, :, :2].flatten(1, 2)
    distance = torch.cdist(entrance, points) + (scores < min_score)[:, None] * (2 * radius + 1)
    nearest, index = distance.min(-1)
    target = points.gather(1, index[..., None].expand(-1, -1, 2))
    entrance = torch.where((nearest <= radius)[..., None], target, entrance)
    p1, p2 = entrance.unflatten(1, (-1, 2)).unbind(2)
    return assemble_corners(p1, p2, direction, depth)
