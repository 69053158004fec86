"""What stands on the ground of a scene: which things, and where."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mmdet_ext.datasets.surround_view.furniture import (
    bollard,
    cart,
    floor_lock,
    kerb,
    person,
    pillar,
    planter,
    traffic_cone,
    wall,
    wheel_stop,
)
from mmdet_ext.datasets.surround_view.layout import Layout
from mmdet_ext.datasets.surround_view.parking import ParkingConfig, Stall, parked_car, stall_of
from mmdet_ext.datasets.surround_view.ranges import Range, Weights, chance, choose, draw
from mmdet_ext.datasets.surround_view.rows import Row, bands
from mmdet_ext.datasets.surround_view.solids import Solid, beyond_edges, hull, separation
from mmdet_ext.datasets.surround_view.vehicles import STYLES, car
from mmdet_ext.datasets.surround_view.view import View, direction

EGO_CLEARANCE = 0.3
"""Metres that everything stays away from the ego car."""

JUNCTION_CLEARANCE = 0.15
"""Metres that everything stays away from every marking point."""

_ATTEMPTS = 4  # places that are tried for something that stands anywhere


@dataclass(frozen=True)
class ObjectsConfig:
    """What the things in a scene are drawn from.

    Attributes:
        occupancy: Part of the slots with a car.
        parking: How the cars stand.
        wheel_stops: How often a row has them.
        wheel_stop_distance: From the rear of the slot, metres.
        pillars: How often a row has pillars: between its slots where it leaves room for them, else in the
            corners of slots.
        pillar_side: Side or diameter, metres.
        pillar_spacing: Slots from one to the next.
        rear: What stands along the rear of a row: ``nothing``, ``kerb``, ``wall`` or ``planter``.
        rear_distance: From the rear of the slots, metres.
        beds: How often a slot without a car is taken by a flower bed.
        end_beds: How often there is one beside each end of a row.
        floor_locks: How often a row has them.
        cones: How often a slot without a car has a traffic cone in it.
        bollards: How many, anywhere outside slots.
        people: How many, anywhere.
        carts: How many, anywhere outside slots.
        passing: How often another car is in the lane.
        strays: How many cars stand about where there are no rows.
    """

    occupancy: Range = (0.05, 0.95)
    parking: ParkingConfig = ParkingConfig()
    wheel_stops: float = 0.35
    wheel_stop_distance: Range = (0.3, 1.1)
    pillars: float = 0.25
    pillar_side: Range = (0.35, 0.8)
    pillar_spacing: Range = (1, 3)
    rear: Weights = field(
        default_factory=lambda: {'nothing': 6, 'kerb': 2, 'wall': 1, 'planter': 1.5}
    )
    rear_distance: Range = (0.05, 0.8)
    beds: float = 0.01
    end_beds: float = 0.08
    floor_locks: float = 0.1
    cones: float = 0.04
    bollards: Range = (0, 1.2)
    people: Range = (0, 0.8)
    carts: Range = (0, 0.7)
    passing: float = 0.08
    strays: Range = (0, 4)


@dataclass(frozen=True)
class Placed:
    """A thing in the scene.

    Attributes:
        solid: The thing.
        slot: Row and slot that it occupies; None for what is not a car in a slot.
    """

    solid: Solid
    slot: tuple[int, int] | None = None


class _Site:
    """What stands already, and what must be kept clear."""

    def __init__(self, layout: Layout) -> None:
        self.placed: list[Placed] = []
        self._slots = [hull(corners) for row in layout.rows for corners in row.corners]
        self._junctions = np.concatenate([np.zeros((0, 2)), *(r.junctions for r in layout.rows)])
        self._ego = hull(np.asarray(layout.ego.outline))
        self._boxes = np.zeros((0, 4))
        self._slot_boxes = np.array([_box(slot) for slot in self._slots]).reshape(-1, 4)

    def add(self, solid: Solid, slot: tuple[int, int] | None = None, in_slot: bool = True) -> bool:
        """Place something unless it would stand on something else.

        Args:
            solid: The thing.
            slot: That it occupies.
            in_slot: Whether it may stand in a slot.

        Returns:
            Whether it was placed.
        """
        outline, box = solid.footprint, _box(solid.footprint)
        if not self._is_clear(outline) or self._meets_placed(outline, box):
            return False
        if not in_slot and self._meets_slot(outline, box):
            return False
        self.placed.append(Placed(solid, slot))
        self._boxes = np.concatenate([self._boxes, box[None]])
        return True

    def _is_clear(self, outline: np.ndarray) -> bool:
        if separation(outline, self._ego) < EGO_CLEARANCE:
            return False
        return bool((beyond_edges(outline, self._junctions).max(1) >= JUNCTION_CLEARANCE).all())

    def _meets_placed(self, outline: np.ndarray, box: np.ndarray) -> bool:
        near = _meeting(self._boxes, box)
        return any(separation(outline, self.placed[i].solid.footprint) < 0 for i in near)

    def _meets_slot(self, outline: np.ndarray, box: np.ndarray) -> bool:
        near = _meeting(self._slot_boxes, box)
        return any(separation(outline, self._slots[i]) < 0 for i in near)


def _box(outline: np.ndarray) -> np.ndarray:
    """Left, top, -right and -bottom of an outline, ``(4,)``."""
    return np.concatenate([outline.min(0), -outline.max(0)])


def _meeting(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Indices of the boxes ``(N, 4)`` that meet a box."""
    return np.flatnonzero((boxes[:, [2, 3, 0, 1]] + box <= 0).all(1))


def place_objects(rng: np.random.Generator, config: ObjectsConfig, layout: Layout) -> list[Placed]:
    """Put things on the ground of a scene.

    No footprints overlap, and all keep clear of the ego car and of marking points: :data:`EGO_CLEARANCE`,
    :data:`JUNCTION_CLEARANCE`. What stands near a marking point may hide it all the same.

    Args:
        rng: Source of randomness.
        config: Ranges and rates.
        layout: Geometry of the scene.

    Returns:
        The things, in no order.
    """
    site = _Site(layout)
    occupancy = draw(rng, config.occupancy)
    for index, row in enumerate(layout.rows):
        stalls = {
            j: stall_of(corners)
            for j, corners in enumerate(row.corners)
            if _is_near(layout.view, corners)
        }
        if not stalls:
            continue
        _add_pillars(rng, config, site, row, list(stalls.values()))
        _add_barriers(rng, config, site, list(stalls.values()))
        parked = [j for j in stalls if chance(rng, occupancy)]
        parked = [j for j in parked if _park(rng, config, site, row, (index, j), stalls[j])]
        _furnish(rng, config, site, row, [stalls[j] for j in stalls if j not in parked])
    _add_loose(rng, config, site, layout)
    return site.placed


def _is_near(view: View, corners: np.ndarray) -> bool:
    """Whether a slot may reach into the image."""
    middle = corners.mean(0)
    reach = np.linalg.norm(corners - middle, axis=1).max()
    return bool(view.depth_inside(middle) > -reach)


def _park(
    rng: np.random.Generator,
    config: ObjectsConfig,
    site: _Site,
    row: Row,
    slot: tuple[int, int],
    stall: Stall,
) -> bool:
    """Park a car in a slot, where one fits; whether it did."""
    solid = parked_car(rng, config.parking, stall, row.slot_type == 'parallel')
    return solid is not None and site.add(solid, slot)


def _add_pillars(
    rng: np.random.Generator, config: ObjectsConfig, site: _Site, row: Row, stalls: list[Stall]
) -> None:
    """Pillars between the slots of a row where there is room, else in the corners of slots."""
    if not chance(rng, config.pillars):
        return
    side, inset = draw(rng, config.pillar_side), rng.uniform(0.3, 0.9)
    between = [] if row.style == 'band' else [stall_of(corners) for corners in bands(row)]
    for stall in between:
        fitting = min(side, stall.width - 0.05)
        if fitting > 0.2:
            centre = stall.mouth + stall.into * (inset + fitting / 2)
            site.add(pillar(rng, centre, stall.into, fitting), in_slot=False)
    if between:
        return
    spacing, at_mouth = max(round(draw(rng, config.pillar_spacing)), 1), chance(rng, 0.4)
    for stall in stalls[rng.integers(spacing) :: spacing]:
        p1, _, _, p4 = stall.corners
        toward = (p4 - p1) / np.linalg.norm(p4 - p1)
        reach = toward * (inset + side / 2)
        site.add(pillar(rng, p1 + reach if at_mouth else p4 - reach, toward, side))


def _add_barriers(
    rng: np.random.Generator, config: ObjectsConfig, site: _Site, stalls: list[Stall]
) -> None:
    """What stands along the rear of a row, and flower beds at its ends."""
    for stall, beside in ((stalls[0], -1), (stalls[-1], 1)):
        if chance(rng, config.end_beds):
            pitch = np.linalg.norm(stall.corners[1] - stall.corners[0])
            centre = stall.corners.mean(0) + stall.along * beside * pitch
            bed = planter(rng, centre, stall.into, stall.depth - 0.4, stall.width - 0.4)
            site.add(bed, in_slot=False)
    kind, distance = choose(rng, config.rear), draw(rng, config.rear_distance)
    if kind == 'nothing':
        return
    width = rng.uniform(0.5, 1.5) if kind == 'planter' else 0.3
    for stall in stalls:
        edge = stall.corners[2] - stall.corners[3]
        length = np.linalg.norm(edge)
        along = edge / length
        outward = np.array([along[1], -along[0]])
        centre, length = stall.rear + outward * (distance + width / 2), length - 0.02
        if kind == 'planter':
            solid = planter(rng, centre, along, length, width)
        else:
            solid = {'kerb': kerb, 'wall': wall}[kind](rng, centre, along, length)
        site.add(solid, in_slot=False)


def _furnish(
    rng: np.random.Generator, config: ObjectsConfig, site: _Site, row: Row, free: list[Stall]
) -> None:
    """Wheel stops, floor locks, cones and flower beds in slots without a car."""
    has_stops = chance(rng, config.wheel_stops) and row.slot_type != 'parallel'
    stops = draw(rng, config.wheel_stop_distance), chance(rng, 0.75), chance(rng, 0.6)
    has_locks = chance(rng, config.floor_locks)
    for stall in free:
        if chance(rng, config.beds):
            size = stall.depth - 0.7, stall.width - 0.5
            site.add(planter(rng, stall.corners.mean(0), stall.into, *size))
            continue
        if has_stops:
            _add_wheel_stops(rng, site, stall, *stops)
        if has_locks and chance(rng, 0.7):
            centre = stall.mouth + stall.into * rng.uniform(0.4, 2.0)
            site.add(floor_lock(rng, centre, stall.into * rng.choice([-1, 1])))
        if chance(rng, config.cones):
            centre = stall.mouth + stall.into * rng.uniform(0.2, 3) + rng.normal(0, 0.3, 2)
            site.add(traffic_cone(rng, centre, direction(rng.uniform(0, np.pi))))


def _add_wheel_stops(
    rng: np.random.Generator,
    site: _Site,
    stall: Stall,
    distance: float,
    paired: bool,
    striped: bool,
) -> None:
    """A pair of wheel stops, or a long one, at a distance in metres from the rear of a slot."""
    middle = stall.rear - stall.into * distance
    if not paired:
        site.add(wheel_stop(rng, middle, stall.across, 0.7 * stall.width, striped))
        return
    for side in (-0.3, 0.3):
        centre = middle + stall.across * side * stall.width
        site.add(wheel_stop(rng, centre, stall.across, 0.22 * stall.width, striped))


def _add_loose(
    rng: np.random.Generator, config: ObjectsConfig, site: _Site, layout: Layout
) -> None:
    """Cars, people, carts and bollards that belong to no slot."""

    def loose_car(rng: np.random.Generator, centre: np.ndarray, heading: np.ndarray) -> Solid:
        style = choose(rng, config.parking.styles)
        size = draw(rng, STYLES[style].length), draw(rng, STYLES[style].width)
        return car(rng, centre, heading, style, *size)

    passing = int(chance(rng, config.passing))
    cars = passing if layout.rows else round(draw(rng, config.strays))
    _scatter(rng, site, layout, loose_car, cars)
    _scatter(rng, site, layout, bollard, round(draw(rng, config.bollards)))
    _scatter(rng, site, layout, cart, round(draw(rng, config.carts)))
    _scatter(rng, site, layout, person, round(draw(rng, config.people)), in_slot=True)


def _scatter(
    rng: np.random.Generator,
    site: _Site,
    layout: Layout,
    build: Callable[..., Solid],
    count: int,
    in_slot: bool = False,
) -> None:
    """Put a number of things anywhere in the image, those that fit."""
    view = layout.view
    for _ in range(count):
        for _ in range(_ATTEMPTS):
            centre = np.asarray(view.centre) + view.extent * rng.uniform(-0.5, 0.5, 2)
            heading = direction(layout.axis + rng.integers(4) * np.pi / 2 + rng.normal(0, 0.1))
            if site.add(build(rng, centre, heading), in_slot=in_slot):
                break
