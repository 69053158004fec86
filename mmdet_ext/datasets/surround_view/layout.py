"""Where things are: rows of slots, junctions, ego car and other markings, in metres.

Pure geometry in the ground frame of :mod:`view`; nothing is drawn here.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from shapely import MultiPolygon, Polygon

from mmdet_ext.datasets.surround_view.view import direction
from mmdet_ext.structures.marking_points import SHAPES, order_arms
from mmdet_ext.structures.slots import assemble_corners, separator_direction

BORDER = 0.02
"""No junction lies closer to the image border, on either side, than this part of the extent: 12 pixels
of 600, so that a point found within the usual tolerance of 10 is inside where the junction is."""

MARKING_GAP = 0.35
"""Metres between paint of different kinds, so that it makes no junction that has no label."""

_MIN_VISIBLE = 0.3  # part of a labelled slot that must be in the image: its occupancy can be seen


@dataclass(frozen=True)
class Row:
    """Contiguous slots of one size that open towards the lane of the ego car.

    The marking point of a junction is where the centre lines of the entrance line and the
    separator meet. A double separator counts as one line in the middle of its gap; rows with an
    entrance line end in a single one. Where no entrance line is painted (``open``, ``rounded``),
    separators end half a line width before the marking point's entrance line, as they would if
    it were painted.

    Attributes:
        slot_type: One of ``perpendicular``, ``parallel``, ``slanted``.
        style: ``closed`` (entrance line painted: T and L marks), ``open`` (separators only: I
            marks) or ``rounded`` (double separators joined by an arc: U marks).
        normal: Unit vector from the ego car to the row, ``(2,)``.
        distance: From the origin to the entrance line along ``normal``.
        start: Position of the first junction along the entrance line.
        entrance: Distance between neighbouring junctions.
        angle: Interior angle of the slots at p1 in radians.
        depth: Length of the separators.
        count: Number of slots.
        line_width: Width of the painted lines.
        gap: Distance between the centre lines of a double separator; 0 for single ones.
        rear_line: Whether the rear ends are joined by a line.
    """

    slot_type: str
    style: str
    normal: np.ndarray
    distance: float
    start: float
    entrance: float
    angle: float
    depth: float
    count: int
    line_width: float
    gap: float = 0.0
    rear_line: bool = False

    @property
    def along(self) -> np.ndarray:
        """Unit vector p1 -> p2 of every slot, ``(2,)``."""
        return np.array([-self.normal[1], self.normal[0]])

    @property
    def separator(self) -> np.ndarray:
        """Unit vector of the separators, into the slots, ``(2,)``."""
        return separator_direction(self.along, self.angle)

    @property
    def junctions(self) -> np.ndarray:
        """Marking points from left to right, ``(count + 1, 2)``."""
        steps = self.start + self.entrance * np.arange(self.count + 1)
        return self.normal * self.distance + steps[:, None] * self.along

    @property
    def corners(self) -> np.ndarray:
        """Slots p1..p4, ``(count, 4, 2)``."""
        junctions = self.junctions
        reach = np.full(self.count, self.depth)
        return assemble_corners(junctions[:-1], junctions[1:], self.separator[None], reach)

    @property
    def shapes(self) -> np.ndarray:
        """Labels of the junctions in ``SHAPES``, ``(count + 1,)``."""
        inner = {'closed': 'T', 'open': 'I', 'rounded': 'U'}[self.style]
        shapes = np.full(self.count + 1, SHAPES.index(inner))
        if self.style == 'closed':
            shapes[[0, -1]] = SHAPES.index('L')
        return shapes

    @property
    def directions(self) -> np.ndarray:
        """Unit vectors of the junctions, ``(count + 1, 2)``: see ``structures.marking_points``."""
        directions = np.repeat(self.separator[None], self.count + 1, 0)
        if self.style == 'closed':
            directions[0] = order_arms(self.along, self.separator)[0]
            directions[-1] = order_arms(-self.along, self.separator)[0]
        return directions


@dataclass(frozen=True)
class Ego:
    """The ego car, centred on the origin.

    Attributes:
        heading: Unit vector, ``(2,)``.
        half_length: Half of its length.
        half_width: Half of its width.
    """

    heading: np.ndarray
    half_length: float
    half_width: float

    @property
    def outline(self) -> np.ndarray:
        """The rectangle that it covers in metres, ``(4, 2)``."""
        along = self.heading * self.half_length
        side = np.array([-self.heading[1], self.heading[0]]) * self.half_width
        return np.stack([along + side, along - side, -along - side, -along + side])

    def reach(self, normal: np.ndarray) -> float:
        """How far it extends from the origin along a unit vector ``(2,)``."""
        side = np.array([-self.heading[1], self.heading[0]])
        return abs(self.heading @ normal) * self.half_length + abs(side @ normal) * self.half_width


@dataclass(frozen=True)
class Layout:
    """Geometry of one scene.

    Attributes:
        extent: Width and height of the ground in view, metres.
        rotation: Angle of the scene's main axis in radians.
        ego: The ego car.
        rows: Rows of slots; none in some scenes.
        markings: Polygons of other paint: arrows, lane lines, zebra crossings; each ``(K, 2)``.
    """

    extent: float
    rotation: float
    ego: Ego
    rows: list[Row]
    markings: list[np.ndarray] = field(default_factory=list)

    def depth_inside(self, points: np.ndarray) -> np.ndarray:
        """Distance of points ``(..., 2)`` from the image border, negative outside, ``(...)``."""
        return self.extent / 2 - np.abs(points).max(-1)

    def is_labelled(self, row: Row) -> tuple[np.ndarray, np.ndarray]:
        """Which junctions ``(count + 1,)`` and which slots ``(count,)`` of a row are labelled.

        A marking point is labelled if it lies in the image, a slot if both its points do.
        """
        inside = self.depth_inside(row.junctions) > 0
        return inside, inside[:-1] & inside[1:]


def sample_layout(rng: np.random.Generator) -> Layout:
    """Draw the geometry of a scene; about 8 % have no slots.

    Args:
        rng: Source of randomness.

    Returns:
        A layout whose junctions keep clear of the image border and of the ego car.
    """
    empty = rng.random() < 0.08
    while True:
        layout = _propose(rng, empty)
        if empty or _is_clear(layout):
            return replace(layout, markings=_sample_markings(rng, layout))


def _propose(rng: np.random.Generator, empty: bool) -> Layout:
    extent = rng.uniform(10, 13)
    rotation = rng.integers(4) * np.pi / 2
    kind = rng.choice(3, p=[0.25, 0.3, 0.45])
    if kind == 1:
        rotation += np.deg2rad(rng.normal(0, 5))
    elif kind == 2:
        rotation = rng.uniform(0, 2 * np.pi)
    heading = direction(-np.pi / 2 if rng.random() < 0.7 else rotation)
    ego = Ego(heading, rng.uniform(2.2, 2.45), rng.uniform(0.9, 1.05))
    rows = [] if empty else _sample_rows(rng, ego, rotation)
    return Layout(extent, rotation, ego, rows)


def _sample_rows(rng: np.random.Generator, ego: Ego, rotation: float) -> list[Row]:
    first = _sample_row(rng, ego, direction(rotation - np.pi / 2))
    arrangement = rng.choice(['single', 'opposite', 'corner'], p=[0.35, 0.48, 0.17])
    if arrangement == 'single':
        return [first]
    if arrangement == 'opposite':
        normal = -first.normal
        second = _sample_row(rng, ego, normal)
        if rng.random() < 0.6:  # both sides of a lane are usually alike
            second = replace(
                first,
                normal=normal,
                distance=second.distance,
                start=second.start,
                count=first.count,
            )
        return [first, second]
    normal = first.along * rng.choice([-1, 1])
    second = _outside(_sample_row(rng, ego, normal), first)
    return [first, second] if second else [first]


def _sample_row(rng: np.random.Generator, ego: Ego, normal: np.ndarray) -> Row:
    slot_type = str(rng.choice(['perpendicular', 'parallel', 'slanted'], p=[0.38, 0.34, 0.28]))
    entrance, depth, angle = _sample_slot(rng, slot_type)
    style = str(rng.choice(['closed', 'open', 'rounded'], p=[0.62, 0.26, 0.12]))
    if slot_type == 'parallel':  # of short open separators nobody could tell front from rear
        style = 'closed'
    double = style == 'rounded' or (style == 'closed' and rng.random() < 0.15)
    line_width = rng.uniform(0.08, 0.13) if double else rng.uniform(0.08, 0.2)
    count = int(rng.integers(1, 5)) if rng.random() < 0.5 else int(np.ceil(18 / entrance))
    start = rng.uniform(-2, 2) - count * entrance / 2
    if rng.random() < 0.3:
        start = rng.uniform(-4, 0)
    return Row(
        slot_type=slot_type,
        style=style,
        normal=normal,
        distance=ego.reach(normal) + rng.uniform(0.35, 1.9),
        start=start,
        entrance=entrance,
        angle=angle,
        depth=depth,
        count=count,
        line_width=line_width,
        gap=line_width + rng.uniform(0.12, 0.25) if double else 0.0,
        rear_line=bool(style == 'closed' and rng.random() < 0.35),
    )


def _sample_slot(rng: np.random.Generator, slot_type: str) -> tuple[float, float, float]:
    """Entrance, depth and interior angle."""
    if slot_type == 'parallel':
        return rng.uniform(5.5, 6.8), rng.uniform(2.1, 2.5), np.pi / 2
    width = rng.uniform(2.3, 2.8)
    if slot_type == 'perpendicular':
        return width, rng.uniform(4.8, 5.5), np.pi / 2
    angle = np.deg2rad(rng.uniform(35, 75) if rng.random() < 0.5 else rng.uniform(105, 145))
    # the nose of an aslant car stands back from the entrance line, so its slot is longer
    setback = 0.4 * width / abs(np.tan(angle))
    return width / np.sin(angle), rng.uniform(4.6, 5.3) + setback, angle


def _outside(row: Row, other: Row) -> Row | None:
    """Shorten a row to the slots that lie wholly on the lane side of another row."""
    free = (row.corners @ other.normal < other.distance - 0.5).all(-1)
    if not free.any():
        return None
    kept = np.flatnonzero(free)
    return replace(row, start=row.start + kept[0] * row.entrance, count=len(kept))


def _is_clear(layout: Layout) -> bool:
    """Whether every label is beyond doubt and there is at least one slot."""
    labelled = 0
    for row in layout.rows:
        if (np.abs(layout.depth_inside(row.junctions)) < BORDER * layout.extent).any():
            return False
        slots = row.corners[layout.is_labelled(row)[1]]
        if any(visible_part(corners, layout.extent) < _MIN_VISIBLE for corners in slots):
            return False
        labelled += len(slots)
    return labelled > 0


def visible_part(corners: np.ndarray, extent: float) -> float:
    """Part of a slot's area that lies in the image.

    Args:
        corners: Metres, shape ``(4, 2)``.
        extent: Width of the ground in view, metres.

    Returns:
        From 0 to 1.
    """
    steps = (np.arange(12) + 0.5) / 12
    across, into = np.meshgrid(steps, steps)
    origin, entrance, separator = corners[0], corners[1] - corners[0], corners[3] - corners[0]
    samples = origin + across[..., None] * entrance + into[..., None] * separator
    return float((np.abs(samples).max(-1) < extent / 2).mean())


def _sample_markings(rng: np.random.Generator, layout: Layout) -> list[np.ndarray]:
    """Paint that is no slot and touches neither a row nor other paint, nor runs under the ego car."""
    markings, occupied = [], Polygon(layout.ego.outline)
    makers = [_arrow, _zebra, _lane_lines]
    for _ in range(rng.integers(1, 4) if not layout.rows else rng.integers(0, 3)):
        turn = layout.rotation + rng.choice([0, np.pi / 2, np.pi, 3 * np.pi / 2])
        centre = rng.uniform(-0.45, 0.45, 2) * layout.extent
        polygons = makers[rng.integers(len(makers))](rng)
        axis = direction(turn)
        frame = np.array([axis, [-axis[1], axis[0]]])
        placed = [polygon @ frame + centre for polygon in polygons]
        paint = MultiPolygon([Polygon(polygon) for polygon in placed])
        reach = [(np.concatenate(placed) @ row.normal).max() for row in layout.rows]
        free = all(
            r < row.distance - MARKING_GAP for r, row in zip(reach, layout.rows, strict=True)
        )
        if free and paint.distance(occupied) > MARKING_GAP:
            markings += placed
            occupied = occupied.union(paint)
    return markings


def _arrow(rng: np.random.Generator) -> list[np.ndarray]:
    scale = rng.uniform(0.7, 1.2)
    shaft, head, width = 1.4 * scale, 0.7 * scale, 0.09 * scale
    outline = [(-shaft, -width), (0, -width), (0, -4 * width), (head, 0)]
    return [np.array(outline + [(x, -y) for x, y in outline[2::-1]])]


def _zebra(rng: np.random.Generator) -> list[np.ndarray]:
    length, bar, pitch = rng.uniform(1.5, 3), rng.uniform(0.4, 0.5), rng.uniform(0.85, 1.1)
    return [
        stroke(np.array([0, k * pitch]), np.array([length, k * pitch]), bar)
        for k in range(rng.integers(3, 7))
    ]


def _lane_lines(rng: np.random.Generator) -> list[np.ndarray]:
    """One dashed line, or solid ones that run through the whole image: their ends are not seen."""
    width = rng.uniform(0.1, 0.2)
    if rng.random() < 0.5:
        dash = rng.uniform(0.6, 1.5)
        starts = np.arange(-10, 10, 2 * dash)
        return [stroke(np.array([x, 0]), np.array([x + dash, 0]), width) for x in starts]
    offsets = [0, rng.uniform(2.8, 3.5)][: rng.integers(1, 3)]
    return [stroke(np.array([-20, y]), np.array([20, y]), width) for y in offsets]


def stroke(start: np.ndarray, end: np.ndarray, width: float, cap: float = 0.0) -> np.ndarray:
    """A straight line of paint as a rectangle.

    Args:
        start: One end of its centre line, ``(2,)``.
        end: The other end, ``(2,)``.
        width: Width of the line.
        cap: How far the paint goes on past both ends.

    Returns:
        Shape ``(4, 2)``.
    """
    along = (end - start) / np.linalg.norm(end - start)
    side = np.array([-along[1], along[0]]) * width / 2
    start, end = start - along * cap, end + along * cap
    return np.stack([start - side, end - side, end + side, start + side])
