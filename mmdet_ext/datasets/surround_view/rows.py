"""Rows of parking slots: their marking points, corners, labels and painted lines, in metres.

Pure geometry in the ground frame of :mod:`view`; nothing is drawn here.
"""

from dataclasses import dataclass

import numpy as np

from mmdet_ext.datasets.surround_view.strokes import (
    dashes,
    extend_line,
    half_ring,
    offset_line,
    ribbon,
    spans_from_both_ends,
    spans_from_start,
    stroke,
)
from mmdet_ext.structures.marking_points import SHAPES, order_arms, rotate_quarter, unit
from mmdet_ext.structures.slots import separator_direction

_INNER_SHAPE = {'closed': 'T', 'open': 'I', 'rounded': 'U', 'band': 'other'}


@dataclass(frozen=True)
class Row:
    """Neighbouring slots that open towards one lane: straight, curved or trapezoidal.

    The marking point of a junction is where the centre lines of the entrance line and the
    separator meet. A double separator counts as one line in the middle of its gap; at the ends of
    a row with an entrance line it is single. Where no entrance line is painted (``open``,
    ``rounded``) separators end half a line width before the marking point, as they would if it
    were painted.

    Attributes:
        slot_type: One of ``perpendicular``, ``parallel``, ``slanted``.
        style: ``closed`` (entrance line painted: T and L marks), ``open`` (separators only: I
            marks), ``rounded`` (double separators joined by an arc: U marks) or ``band`` (no line
            at all: strips of other paving between the slots, each of whose corners is a point).
        junctions: Marking points from left to right for a driver who drives in, ``(n + 1, 2)``.
        separators: Unit vectors into the slots, ``(n + 1, 2)``.
        depths: Lengths of the separators, ``(n + 1,)``.
        is_slot: Which intervals between neighbouring junctions are slots, ``(n,)``; the others
            hold a pillar, a strip of setts or nothing.
        line_width: Width of the painted lines.
        gap: Distance between the centre lines of a double separator; 0 for single ones. For
            ``band`` the width of the strips.
        entrance: How a ``closed`` row's entrance line is painted: ``solid``, ``dashed`` or
            ``stubs`` (only beside the junctions).
        entrance_dash: Length of its dashes or of one arm of its stubs.
        overrun: How far the entrance line runs on past the left and the right end of the row.
        separator_reach: Painted length of the separators where that is less than their depth.
        separator_dash: Length of the dashes of the separators; 0 for solid ones.
        rear_line: Whether the rear ends are joined by a line.
    """

    slot_type: str
    style: str
    junctions: np.ndarray
    separators: np.ndarray
    depths: np.ndarray
    is_slot: np.ndarray
    line_width: float
    gap: float = 0.0
    entrance: str = 'solid'
    entrance_dash: float = 0.0
    overrun: tuple[float, float] = (0.0, 0.0)
    separator_reach: float = np.inf
    separator_dash: float = 0.0
    rear_line: bool = False

    @property
    def count(self) -> int:
        """Number of slots."""
        return int(self.is_slot.sum())

    @property
    def slot_junctions(self) -> np.ndarray:
        """Indices of the junctions p1 and p2 of each slot, ``(count, 2)``."""
        left = np.flatnonzero(self.is_slot)
        return np.stack([left, left + 1], -1)

    @property
    def rears(self) -> np.ndarray:
        """Rear ends of the separators, ``(n + 1, 2)``."""
        return self.junctions + self.separators * self.depths[:, None]

    @property
    def corners(self) -> np.ndarray:
        """Slots p1..p4, ``(count, 4, 2)``."""
        left, right = self.slot_junctions.T
        corners = [self.junctions[left], self.junctions[right], self.rears[right], self.rears[left]]
        return np.stack(corners, 1)

    @property
    def alongs(self) -> np.ndarray:
        """Unit vectors from each junction to the next, ``(n, 2)``."""
        return unit(np.diff(self.junctions, axis=0))

    @property
    def normals(self) -> np.ndarray:
        """Unit vectors across the intervals, from the lane into the row, ``(n, 2)``."""
        return -rotate_quarter(self.alongs)

    @property
    def shapes(self) -> np.ndarray:
        """Labels of the junctions in ``SHAPES``, ``(n + 1,)``."""
        shapes = np.full(len(self.junctions), SHAPES.index(_INNER_SHAPE[self.style]))
        shapes[self._is_corner()] = SHAPES.index('L')
        return shapes

    @property
    def directions(self) -> np.ndarray:
        """Unit vectors of the junctions, ``(n + 1, 2)``: see ``structures.marking_points``."""
        directions = self.separators.copy()
        arms = {0: self.alongs[0], len(directions) - 1: -self.alongs[-1]}
        for end, arm in arms.items():
            if self._is_corner()[end]:
                directions[end] = order_arms(arm, self.separators[end])[0]
        return directions

    @property
    def side(self) -> float:
        """How far the paint of the outer separators reaches beyond the row, metres."""
        return self.gap if self.style == 'band' else (self.gap + self.line_width) / 2

    def outline(self, front: float = 0.0) -> np.ndarray:
        """The ground that the row takes up.

        Args:
            front: How much of the lane in front of it to include, metres.

        Returns:
            Polygon, ``(2 (n + 1), 2)``.
        """
        line = extend_line(self.junctions, *(np.array(self.overrun) + self.side))
        rear = extend_line(self.rears, self.side, self.side)
        return np.concatenate([offset_line(line, front), rear[::-1]])

    def _is_corner(self) -> np.ndarray:
        """Which junctions the entrance line ends at, ``(n + 1,)``."""
        corner = np.zeros(len(self.junctions), bool)
        if self.style == 'closed':
            corner[[0, -1]] = np.array(self.overrun) == 0
        return corner


def arc(
    anchor: np.ndarray, along: np.ndarray, curvature: float, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points of a circle or a straight line, and its tangents there.

    Args:
        anchor: Point at position 0, ``(2,)``.
        along: Unit tangent there, ``(2,)``.
        curvature: One over the radius, 1/m; positive bends clockwise on screen, 0 is straight.
        positions: Lengths of the arc from the anchor, ``(K,)``.

    Returns:
        Points and unit tangents, each ``(K, 2)``.
    """
    turns = curvature * positions
    chords = positions * np.sinc(turns / (2 * np.pi))
    return anchor + chords[:, None] * _turned(along, turns / 2), _turned(along, turns)


def _turned(vector: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """A vector turned clockwise on screen by each of several angles, ``(K, 2)``."""
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    return cos * vector + sin * rotate_quarter(vector)


def separators_of(
    tangents: np.ndarray, angles: np.ndarray, across: float
) -> tuple[np.ndarray, np.ndarray]:
    """Separators that all reach equally far across.

    Args:
        tangents: Unit vectors along the entrance line at the junctions, ``(K, 2)``.
        angles: Interior angle of each separator to the entrance line in radians, ``(K,)``.
        across: How far they reach at right angles to the entrance line, metres.

    Returns:
        Unit vectors ``(K, 2)`` and lengths ``(K,)``.
    """
    return separator_direction(tangents, angles), across / np.sin(angles)


def row_strokes(row: Row) -> list[np.ndarray]:
    """Painted lines at the front and between the slots of a row, without its rear line.

    Args:
        row: The row.

    Returns:
        Polygons in metres, each ``(K, 2)``.
    """
    if row.style == 'band':
        return []
    strokes = _entrance(row) if row.style == 'closed' else []
    for i in range(len(row.junctions)):
        strokes += _separator(row, i)
    return strokes


def rear_strokes(row: Row) -> list[np.ndarray]:
    """The line that joins the rear ends of the separators, if there is one; as ``row_strokes``."""
    return [ribbon(row.rears, row.line_width, row.line_width / 2)] if row.rear_line else []


def bands(row: Row) -> list[np.ndarray]:
    """Ground between the slots of a row: the intervals that are none, each ``(4, 2)``."""
    fronts, rears = row.junctions, row.rears
    return [
        np.stack([fronts[i], fronts[i + 1], rears[i + 1], rears[i]])
        for i in np.flatnonzero(~row.is_slot)
    ]


def edging(row: Row) -> list[np.ndarray]:
    """Other paving around the slots of a ``band`` row, none for other styles.

    Args:
        row: The row.

    Returns:
        The strips between its slots and at its two ends, and the edge of the lane before them:
        polygons in metres, each ``(K, 2)``.
    """
    if row.style != 'band':
        return []
    strips = bands(row)
    for end, away in ((0, -row.alongs[0]), (-1, row.alongs[-1])):
        front, rear, aside = row.junctions[end], row.rears[end], away * row.gap
        strips.append(np.stack([front, front + aside, rear + aside, rear]))
    line = extend_line(row.junctions, row.gap, row.gap)
    return [*strips, ribbon(offset_line(line, row.line_width / 2), row.line_width)]


def _entrance(row: Row) -> list[np.ndarray]:
    half = row.line_width / 2
    if row.entrance == 'solid':
        return [ribbon(extend_line(row.junctions, *row.overrun), row.line_width, half)]
    left, right = row.overrun
    strokes = [
        stroke(row.junctions[0] - row.alongs[0] * (left + half), row.junctions[0], row.line_width),
        stroke(
            row.junctions[-1], row.junctions[-1] + row.alongs[-1] * (right + half), row.line_width
        ),
    ]
    for start, end in zip(row.junctions[:-1], row.junctions[1:], strict=True):
        length = float(np.linalg.norm(end - start))
        if row.entrance == 'stubs':
            arm = min(row.entrance_dash, 0.4 * length)
            spans = np.array([(0, arm), (length - arm, length)])
        else:
            spans = spans_from_both_ends(length, row.entrance_dash)
        strokes += dashes(start, end, row.line_width, spans)
    return strokes


def _separator(row: Row, i: int) -> list[np.ndarray]:
    """Lines of one separator: one, two, or two joined by an arc."""
    junction, into = row.junctions[i], row.separators[i]
    reach = min(row.separator_reach, float(row.depths[i]))
    at_end = i in (0, len(row.junctions) - 1)
    if row.gap == 0 or (row.style == 'closed' and at_end):
        before = row.line_width / 2 if row.style == 'open' else 0.0
        return _dashed(row, junction - into * before, into, reach + before)
    if row.style == 'rounded':
        side, centre = rotate_quarter(into) * row.gap / 2, junction + into * row.gap / 2
        straight = reach - row.gap / 2
        lines = [s for o in (side, -side) for s in _dashed(row, centre + o, into, straight)]
        return [*lines, half_ring(centre, -into, row.gap / 2, row.line_width)]
    along = row.alongs[min(i, len(row.alongs) - 1)]
    side = along * row.gap / 2 / abs(along[0] * into[1] - along[1] * into[0])
    return [s for o in (side, -side) for s in _dashed(row, junction + o, into, reach)]


def _dashed(row: Row, start: np.ndarray, into: np.ndarray, length: float) -> list[np.ndarray]:
    spans = spans_from_start(length, row.separator_dash)
    return dashes(start, start + into, row.line_width, spans)
