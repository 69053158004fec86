"""Where things are: rows of slots around the ego car and all paint on the ground, in metres.

Pure geometry in the ground frame of :mod:`view`; nothing is drawn here.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon

from mmdet_ext.datasets.surround_view.markings import MarkingsConfig, sample_marking
from mmdet_ext.datasets.surround_view.patterns import (
    Pattern,
    RowConfig,
    build_row,
    sample_pattern,
)
from mmdet_ext.datasets.surround_view.ranges import Range, Weights, chance, choose, draw
from mmdet_ext.datasets.surround_view.rows import Row
from mmdet_ext.datasets.surround_view.trims import Paint, Text, Trim, row_paint
from mmdet_ext.datasets.surround_view.view import View, direction
from mmdet_ext.structures.marking_points import rotate_quarter

__all__ = [
    'BORDER',
    'MARKING_GAP',
    'Ego',
    'Layout',
    'LayoutConfig',
    'Paint',
    'Row',
    'Text',
    'sample_layout',
    'visible_part',
]

BORDER = 0.02
"""No junction lies closer to the image border, on either side, than this part of the view's height: 12
pixels of 600, so that a point found within the usual tolerance of 10 is inside where the junction is."""

MARKING_GAP = 0.35
"""Metres between paint of different kinds, so that it makes no junction that has no label."""

_EGO_GAP = 0.15  # metres from the ego car to the nearest slot
_TRIES = 50


@dataclass(frozen=True)
class LayoutConfig:
    """Where the rows of a site lie around the ego car. Lengths in metres.

    Attributes:
        ego_length: Of the ego car.
        ego_width: Of the ego car.
        empty: Probability of a scene without slots.
        arrangements: ``single`` row, rows ``opposite`` each other, or at a ``corner``.
        alike: Probability that both rows of a scene have slots and lines of one kind.
        tilt: Angle of the site to the ego car, degrees.
        any_tilt: Probability that the site lies at any angle instead.
        crosswise: Probability that the first row lies before or behind the ego car, not beside it.
        distance: From the ego car to the entrance line.
        far: Probability that a row is so far away that only the mouths of its slots are in view.
        mouth: How far such a row reaches into the view.
        extents: Whether a row runs ``through`` the view, ``starts`` or ``stops`` in it, or is
            ``short``: one to four slots.
        least_visible: Part of every labelled slot that must be in the image.
        rows: Sizes and styles of slots.
        markings: Paint that is no slot.
    """

    ego_length: Range = (4.2, 4.9)
    ego_width: Range = (1.8, 2.1)
    empty: float = 0.07
    arrangements: Weights = field(
        default_factory=lambda: {'single': 0.35, 'opposite': 0.45, 'corner': 0.2}
    )
    alike: float = 0.6
    tilt: Range = field(default=(-8.0, 8.0), metadata={'signed': True})
    any_tilt: float = 0.15
    crosswise: float = 0.15
    distance: Range = (0.25, 2.6)
    far: float = 0.1
    mouth: Range = (0.25, 0.9)
    extents: Weights = field(
        default_factory=lambda: {'through': 0.6, 'starts': 0.13, 'stops': 0.13, 'short': 0.14}
    )
    least_visible: float = 0.0
    rows: RowConfig = field(default_factory=RowConfig)
    markings: MarkingsConfig = field(default_factory=MarkingsConfig)


@dataclass(frozen=True)
class Ego:
    """The ego car: centred on the origin, heading up.

    Attributes:
        half_length: Half of its length, metres.
        half_width: Half of its width, metres.
    """

    half_length: float
    half_width: float

    @property
    def outline(self) -> np.ndarray:
        """The rectangle that it covers, metres, ``(4, 2)``."""
        signs = np.array([(1, -1), (-1, -1), (-1, 1), (1, 1)])
        return signs * [self.half_width, self.half_length]

    def reach(self, normal: np.ndarray) -> float:
        """How far it extends from the origin along a unit vector ``(2,)``, metres."""
        return float(np.abs(normal) @ [self.half_width, self.half_length])


@dataclass(frozen=True)
class Layout:
    """Geometry of one scene.

    Attributes:
        view: What of the ground is in the image.
        ego: The ego car.
        rows: Rows of slots; none in some scenes.
        paint: All paint in the order in which it is painted.
        axis: Angle of the site's main axis, radians.
    """

    view: View
    ego: Ego
    rows: list[Row]
    paint: list[Paint]
    axis: float

    def is_labelled(self, row: Row) -> tuple[np.ndarray, np.ndarray]:
        """Which junctions ``(n + 1,)`` and which slots ``(count,)`` of a row are labelled.

        A marking point is labelled if it lies in the image, a slot if both its points do.
        """
        inside = self.view.depth_inside(row.junctions) > 0
        return inside, inside[row.slot_junctions].all(-1)


def sample_layout(rng: np.random.Generator, config: LayoutConfig, view: View) -> Layout:
    """Draw the geometry of a scene.

    Args:
        rng: Source of randomness.
        config: What it is drawn from.
        view: What of the ground is in the image.

    Returns:
        A layout whose junctions keep clear of the image border and of the ego car. Unless it is
        drawn empty it has a labelled slot, or a labelled point if the view shows one side only.

    Raises:
        ValueError: No such layout is found, as the slots do not fit the view.
    """
    empty = chance(rng, config.empty)
    for _ in range(_TRIES):
        ego = Ego(draw(rng, config.ego_length) / 2, draw(rng, config.ego_width) / 2)
        angle = _sample_angle(rng, config, view)
        placed = [] if empty else _sample_rows(rng, config, view, ego, direction(angle))
        layout = Layout(view, ego, [row for row, _ in placed], [], angle + np.pi / 2)
        if empty or _is_clear(layout, config.least_visible):
            own = [p for i, (row, trim) in enumerate(placed) for p in row_paint(row, trim, i)]
            return replace(layout, paint=own + _free_markings(rng, config.markings, layout, placed))
    width, height = view.extent
    raise ValueError(
        f'No slot found a place in the view of {width:.1f} x {height:.1f} m in {_TRIES} tries: make '
        'the view larger, or in the layout config lower rows.perpendicular_width, '
        'rows.parallel_length, distance or least_visible.'
    )


def _sample_angle(rng: np.random.Generator, config: LayoutConfig, view: View) -> float:
    """Direction from the ego car to the first row, radians."""
    side = np.sign(view.centre[0]) or rng.choice([-1, 1])
    base = 0.0 if side > 0 else np.pi
    if chance(rng, config.crosswise):
        base = rng.choice([-1, 1]) * np.pi / 2
    tilt = rng.uniform(-45, 45) if chance(rng, config.any_tilt) else draw(rng, config.tilt)
    return base + float(np.deg2rad(tilt))


def _sample_rows(
    rng: np.random.Generator, config: LayoutConfig, view: View, ego: Ego, normal: np.ndarray
) -> list[tuple[Row, Trim]]:
    """One or two rows, and the paint that comes with each."""
    pattern = sample_pattern(rng, config.rows)
    first = _place(rng, config, view, ego, normal, pattern)
    arrangement = choose(rng, config.arrangements)
    rows = [(first, pattern.trim)]
    if arrangement == 'single':
        return rows
    if not chance(rng, config.alike):
        pattern = sample_pattern(rng, config.rows)
    turned = -normal if arrangement == 'opposite' else rotate_quarter(normal) * rng.choice([-1, 1])
    second = _place(rng, config, view, ego, turned, pattern)
    second = _without_overlap(second, pattern.trim, Polygon(first.outline(rows[0][1].front)))
    return [*rows, (second, pattern.trim)] if second else rows


def _place(
    rng: np.random.Generator,
    config: LayoutConfig,
    view: View,
    ego: Ego,
    normal: np.ndarray,
    pattern: Pattern,
) -> Row:
    """A row of a pattern on one side of the ego car, ``normal`` pointing to it."""
    along = rotate_quarter(normal)
    distance = ego.reach(normal) + draw(rng, config.distance)
    if chance(rng, config.far):
        main = int(np.abs(normal).argmax())
        border = np.array(view.centre) @ normal + view.extent[main] / 2 * abs(normal[main])
        distance = max(distance, border - draw(rng, config.mouth))
    middle = np.array(view.centre) @ along
    half = (np.abs(along) @ view.extent) / 2
    begin, end = -half - rng.uniform(0, pattern.entrance), half
    extent = choose(rng, config.extents)
    if extent in ('starts', 'short'):
        begin = rng.uniform(-half, half)
    if extent in ('stops', 'short'):
        end = rng.uniform(max(begin, -half), min(half, begin + 4 * pattern.entrance))
        if extent == 'stops':
            end = rng.uniform(-half, half)
    return build_row(rng, pattern, normal * distance + along * middle, along, begin, end)


def _without_overlap(row: Row, trim: Trim, taken: Polygon) -> Row | None:
    """The longest piece of a row that keeps clear of another row's ground; None if there is none."""
    row = replace(row, overrun=(0.0, 0.0))
    fronts, rears = row.junctions - _front_vectors(row, trim), row.rears
    cells = np.stack([fronts[:-1], fronts[1:], rears[1:], rears[:-1]], 1)
    free = shapely.distance(shapely.polygons(cells), taken) > MARKING_GAP + row.side
    runs = np.split(np.arange(len(free)), np.flatnonzero(~free))
    runs = [run[free[run]] for run in runs]
    longest = max(runs, key=len)
    kept = longest[row.is_slot[longest]]  # a row neither begins nor ends with a break
    if len(kept) == 0:
        return None
    ends, inner = slice(kept[0], kept[-1] + 2), slice(kept[0], kept[-1] + 1)
    return replace(
        row,
        junctions=row.junctions[ends],
        separators=row.separators[ends],
        depths=row.depths[ends],
        is_slot=row.is_slot[inner],
    )


def _front_vectors(row: Row, trim: Trim) -> np.ndarray:
    """From what is painted in the lane to the junctions, ``(n + 1, 2)``."""
    return np.concatenate([row.normals, row.normals[-1:]]) * trim.front


def _is_clear(layout: Layout, least_visible: float) -> bool:
    """Whether every label is beyond doubt and there is at least one."""
    view, ego, slots, points = layout.view, Polygon(layout.ego.outline), 0, 0
    for row in layout.rows:
        if (np.abs(view.depth_inside(row.junctions)) < BORDER * view.extent[1]).any():
            return False
        outline = Polygon(row.outline())
        if outline.distance(ego) < _EGO_GAP or not outline.is_valid:
            return False
        inside, labelled = layout.is_labelled(row)
        corners = row.corners[labelled]
        if least_visible and any(visible_part(c, view) < least_visible for c in corners):
            return False
        slots, points = slots + len(corners), points + inside.sum()
    one_side = view.depth_inside(layout.ego.outline).min() < 0
    return slots > 0 or bool(one_side and points > 0)


def visible_part(corners: np.ndarray, view: View) -> float:
    """Part of a slot's area that lies in the image.

    Args:
        corners: Metres, shape ``(4, 2)``.
        view: The view of the ground.

    Returns:
        From 0 to 1.
    """
    steps = (np.arange(12) + 0.5) / 12
    across, into = steps[:, None, None], steps[None, :, None]
    front = corners[0] * (1 - across) + corners[1] * across
    rear = corners[3] * (1 - across) + corners[2] * across
    return float((view.depth_inside(front * (1 - into) + rear * into) > 0).mean())


def _free_markings(
    rng: np.random.Generator,
    config: MarkingsConfig,
    layout: Layout,
    placed: list[tuple[Row, Trim]],
) -> list[Paint]:
    """Paint that is no slot and touches neither a row nor other paint, nor runs under the ego car."""
    view, markings = layout.view, []
    taken = [Polygon(layout.ego.outline), *(Polygon(row.outline(t.front)) for row, t in placed)]
    for _ in range(round(draw(rng, config.count if placed else config.count_if_empty))):
        polygons = sample_marking(rng, config)
        axis = direction(layout.axis + rng.integers(4) * np.pi / 2)
        centre = view.centre + rng.uniform(-0.45, 0.45, 2) * view.extent
        polygons = [p @ np.stack([axis, rotate_quarter(axis)]) + centre for p in polygons]
        shape = MultiPolygon([Polygon(p) for p in polygons])
        if all(shape.distance(other) > MARKING_GAP for other in taken):
            markings.append(Paint(polygons, role='marking'))
            taken.append(shape)
    return markings
