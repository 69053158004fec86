"""Slots as what stands in them sees them, and how cars are parked in them."""

from dataclasses import dataclass, field

import numpy as np

from mmdet_ext.datasets.surround_view.ranges import Range, Weights, chance, choose, draw
from mmdet_ext.datasets.surround_view.solids import Solid
from mmdet_ext.datasets.surround_view.vehicles import STYLES, car
from mmdet_ext.datasets.surround_view.view import direction

_SHORTEST, _NARROWEST = 3.2, 1.4  # metres of the smallest car
_ELBOW_ROOM = 0.3  # metres of a slot's width that a car leaves free
_NOSE_ROOM = 0.1  # metres of a slot's length, likewise


@dataclass(frozen=True)
class ParkingConfig:
    """How cars stand in their slots.

    Attributes:
        styles: Kinds of cars (``vehicles.STYLES``).
        nose_in: How often the nose is towards the rear of the slot.
        gap: From the entrance line to the nearest corner of the car, metres.
        turn: Angle between the car and its slot, to either side, degrees.
        shift: Offset from the middle of the slot, to either side, metres.
        sloppy: How often a car stands carelessly.
        sloppy_gap: As ``gap``; negative where the car stands out into the lane.
        sloppy_turn: As ``turn``.
        sloppy_shift: As ``shift``.
        covered: How often a car is under a cloth.
    """

    styles: Weights = field(
        default_factory=lambda: {'sedan': 5, 'suv': 5, 'hatchback': 3, 'van': 1.2, 'pickup': 0.3}
    )
    nose_in: float = 0.5
    gap: Range = (0.1, 0.7)
    turn: Range = (0, 2.5)
    shift: Range = (0, 0.2)
    sloppy: float = 0.08
    sloppy_gap: Range = field(default=(-0.5, 0.6), metadata={'signed': True})
    sloppy_turn: Range = (2, 9)
    sloppy_shift: Range = (0, 0.45)
    covered: float = 0.02


@dataclass(frozen=True)
class Stall:
    """A slot and the room in it.

    Attributes:
        corners: Slot p1..p4, metres, ``(4, 2)``.
        along: Unit vector p1 -> p2, ``(2,)``.
        into: Unit vector from the middle of the entrance to the middle of the rear, ``(2,)``.
        depth: Metres between these.
        width: Least distance between the separators, across ``into``, metres.
    """

    corners: np.ndarray
    along: np.ndarray
    into: np.ndarray
    depth: float
    width: float

    @property
    def mouth(self) -> np.ndarray:
        """Middle of the entrance, metres, ``(2,)``."""
        return self.corners[:2].mean(0)

    @property
    def rear(self) -> np.ndarray:
        """Middle of the rear, metres, ``(2,)``."""
        return self.corners[2:].mean(0)

    @property
    def across(self) -> np.ndarray:
        """Unit vector to the right of a driver who drives in, ``(2,)``."""
        return np.array([-self.into[1], self.into[0]])

    @property
    def inward(self) -> np.ndarray:
        """Unit vector perpendicular to the entrance line, into the slot, ``(2,)``."""
        return np.array([self.along[1], -self.along[0]])


def stall_of(corners: np.ndarray) -> Stall:
    """The room in a slot p1..p4, metres, ``(4, 2)``."""
    p1, p2, p3, p4 = corners
    axis = (p3 + p4 - p1 - p2) / 2
    depth = float(np.linalg.norm(axis))
    into, right = axis / depth, np.array([-axis[1], axis[0]]) / depth
    width = min((p2 - p1) @ right, (p3 - p4) @ right)
    return Stall(corners, (p2 - p1) / np.linalg.norm(p2 - p1), into, depth, float(width))


def parked_car(
    rng: np.random.Generator, config: ParkingConfig, stall: Stall, parallel: bool
) -> Solid | None:
    """A car in a slot.

    Args:
        rng: Source of randomness.
        config: How cars stand.
        stall: The slot.
        parallel: Whether cars stand along its entrance instead of across.

    Returns:
        The car; None where the slot is too small for one.
    """
    entrance = float(np.linalg.norm(stall.corners[1] - stall.corners[0]))
    if parallel:
        axis, room = stall.along, (entrance, stall.depth * float(stall.into @ stall.inward))
    else:
        axis, room = stall.into, (stall.depth, stall.width)
    style = choose(rng, config.styles)
    length = min(draw(rng, STYLES[style].length), room[0] - _NOSE_ROOM)
    width = min(draw(rng, STYLES[style].width), room[1] - _ELBOW_ROOM)
    if length < _SHORTEST or width < _NARROWEST:
        return None
    turn, shift, gap = _sample_pose(rng, config)
    if not parallel:
        gap = min(gap, room[0] - length)  # its end stays about where the slot's is
    heading = direction(np.arctan2(axis[1], axis[0]) + turn) * (
        1 if chance(rng, config.nose_in) else -1
    )
    side = np.array([-heading[1], heading[0]])
    reach = (abs(heading @ stall.inward) * length + abs(side @ stall.inward) * width) / 2
    slope = stall.into @ stall.inward
    centre = stall.mouth + shift * stall.along + stall.into * (gap + reach) / slope
    return car(rng, centre, heading, style, length, width, chance(rng, config.covered))


def _sample_pose(rng: np.random.Generator, config: ParkingConfig) -> tuple[float, float, float]:
    """Turn in radians, shift along the entrance line and gap in metres of a car."""
    if chance(rng, config.sloppy):
        turn, shift, gap = config.sloppy_turn, config.sloppy_shift, config.sloppy_gap
    else:
        turn, shift, gap = config.turn, config.shift, config.gap
    left, right = rng.choice([-1, 1], 2)
    return left * np.deg2rad(draw(rng, turn)), right * draw(rng, shift), draw(rng, gap)
