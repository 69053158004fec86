"""What the rows of a site look like: sizes of slots and styles of lines, before they are placed."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmdet_ext.datasets.surround_view.ranges import Range, Weights, chance, choose, draw
from mmdet_ext.datasets.surround_view.rows import Row, arc, separators_of
from mmdet_ext.datasets.surround_view.trims import Trim, TrimConfig, sample_trim

_RIGHT = np.pi / 2
_LEAST_RADIUS = 3.0  # in entrances: neighbours turn by less than 20 degrees


@dataclass(frozen=True)
class RowConfig:
    """Sizes of slots and styles of rows. Lengths in metres.

    Attributes:
        slot_types: How often each type of slot is drawn.
        perpendicular_width: Width of perpendicular and slanted slots, across the separators.
        perpendicular_depth: Length of the separators of perpendicular slots.
        parallel_length: Entrance of parallel slots.
        parallel_depth: Length of the separators of parallel slots.
        slant: Angle between entrance line and separators of slanted slots, degrees; both senses.
        slanted_depth: Length of the separators of slanted slots, without what the slant adds.
        curved: Probability that a row is curved.
        radius: Of the entrance line of curved rows; long slots take a larger one.
        trapezoidal: Probability that neighbouring slots differ in width and separators fan; never
            in parallel rows and rows with breaks.
        fan: How far separators are off the slots' angle in trapezoidal rows, degrees.
        width_spread: By which part of the mean widths differ in trapezoidal rows.
        breaks: Probability that pillars or the like come between the slots of a row.
        break_length: Of such an interval.
        band_width: Of the strips of other paving between the slots of ``band`` rows.
        styles: How often each style of :class:`Row` is drawn; ``rounded`` and ``open`` never for
            parallel slots (nobody could tell front from rear), ``band`` for perpendicular ones.
        entrances: How often the entrance line of ``closed`` rows is painted each way.
        entrance_dash: Length of its dashes or stubs.
        overrun: Probability that it runs on beyond each end of the row.
        overrun_length: By how much.
        line_width: Of all lines of a row; those of double separators are at most 0.13.
        double: Probability of double separators in closed rows.
        double_gap: Bare ground between the lines of double and rounded separators.
        short: Probability that only the front of the separators of rows without a solid entrance
            line is painted.
        short_length: Of that part.
        dashed_separators: Probability of dashed separators.
        separator_dash: Length of their dashes.
        rear_line: Probability that a closed row has a rear line.
        trim: Other paint on the rows.
    """

    slot_types: Weights = field(
        default_factory=lambda: {'perpendicular': 0.5, 'parallel': 0.22, 'slanted': 0.28}
    )
    perpendicular_width: Range = (2.2, 2.9)
    perpendicular_depth: Range = (4.8, 5.6)
    parallel_length: Range = (5.2, 7.0)
    parallel_depth: Range = (2.0, 2.6)
    slant: Range = (30.0, 75.0)
    slanted_depth: Range = (4.6, 5.5)
    curved: float = 0.12
    radius: Range = (6.0, 40.0)
    trapezoidal: float = 0.1
    fan: Range = (1.0, 6.0)
    width_spread: Range = (0.02, 0.12)
    breaks: float = 0.15
    break_length: Range = (0.5, 1.2)
    band_width: Range = (0.3, 0.5)
    styles: Weights = field(
        default_factory=lambda: {'closed': 0.52, 'open': 0.25, 'rounded': 0.13, 'band': 0.1}
    )
    entrances: Weights = field(
        default_factory=lambda: {'solid': 0.78, 'dashed': 0.08, 'stubs': 0.14}
    )
    entrance_dash: Range = (0.15, 0.6)
    overrun: float = 0.2
    overrun_length: Range = (0.4, 4.0)
    line_width: Range = (0.06, 0.2)
    double: float = 0.15
    double_gap: Range = (0.12, 0.3)
    short: float = 0.35
    short_length: Range = (0.4, 1.5)
    dashed_separators: float = 0.08
    separator_dash: Range = (0.12, 0.6)
    rear_line: float = 0.3
    trim: TrimConfig = field(default_factory=TrimConfig)

    def check(self, name: str) -> None:
        """Check what :func:`ranges.check_config` cannot know.

        Raises:
            ValueError: A length is 0, an angle not below 90 degrees, or a radius too small.
        """
        for size in ('perpendicular_width', 'perpendicular_depth', 'parallel_length'):
            self._expect(name, size, getattr(self, size)[0] > 0, 'lengths above 0')
        for size in ('parallel_depth', 'slanted_depth', 'line_width', 'radius'):
            self._expect(name, size, getattr(self, size)[0] > 0, 'lengths above 0')
        upright = self.slant[0] > 0 and self.slant[1] < 90
        self._expect(name, 'slant', upright, 'degrees above 0 and below 90')
        self._expect(name, 'fan', self.fan[1] <= 10, 'at most 10 degrees')
        self._expect(name, 'width_spread', self.width_spread[1] <= 0.5, 'at most 0.5')

    def _expect(self, name: str, entry: str, holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(f'{name}.{entry} is {getattr(self, entry)}; expected {what}.')


@dataclass(frozen=True)
class Pattern:
    """What the rows of one site have in common, wherever they stand.

    Attributes:
        entrance: Distance between neighbouring junctions, metres.
        angle: Interior angle of the slots at p1, radians.
        depth: Length of the separators, metres.
        curvature: One over the radius, 1/m; positive where the row wraps around the lane.
        fan: Largest deviation of single separators, radians.
        width_spread: Largest deviation of single entrances, as a part.
        run: Number of slots between two breaks; 0 for rows without breaks.
        break_length: Length of a break, metres.
        options: The other fields of :class:`Row`.
        trim: Other paint.
    """

    entrance: float
    angle: float
    depth: float
    curvature: float
    fan: float
    width_spread: float
    run: int
    break_length: float
    options: dict[str, Any]
    trim: Trim


def sample_pattern(rng: np.random.Generator, config: RowConfig) -> Pattern:
    """Draw what a row looks like."""
    slot_type = choose(rng, config.slot_types)
    entrance, depth, angle = _sample_slot(rng, config, slot_type)
    options = {'slot_type': slot_type} | _sample_lines(rng, config, slot_type)
    run = int(rng.integers(1, 4)) if chance(rng, config.breaks) else 0
    break_length = draw(rng, config.break_length)
    if options['style'] == 'band':
        run, break_length = 1, options['gap']
    # beside a narrow break separators that fan would cross
    trapezoidal = chance(rng, config.trapezoidal) and slot_type != 'parallel' and not run
    return Pattern(
        entrance,
        angle,
        depth,
        curvature=_sample_curvature(rng, config, entrance, depth),
        fan=np.deg2rad(draw(rng, config.fan)) if trapezoidal else 0.0,
        width_spread=draw(rng, config.width_spread) if trapezoidal else 0.0,
        run=run,
        break_length=break_length,
        options=options,
        trim=sample_trim(rng, config.trim, slot_type),
    )


def build_row(
    rng: np.random.Generator,
    pattern: Pattern,
    anchor: np.ndarray,
    along: np.ndarray,
    begin: float,
    end: float,
) -> Row:
    """Lay out a row of a pattern.

    Args:
        rng: Source of randomness.
        pattern: What it looks like.
        anchor: Point of the entrance line at position 0, ``(2,)``.
        along: Unit vector of the entrance line there, from p1 to p2, ``(2,)``.
        begin: Position of its first junction.
        end: Position that its last slot reaches or covers; the row has one slot at least.

    Returns:
        The row.
    """
    lengths, is_slot = _intervals(rng, pattern, end - begin)
    positions = begin + np.concatenate([[0.0], np.cumsum(lengths)])
    junctions, tangents = arc(anchor, along, pattern.curvature, positions)
    angles = pattern.angle + pattern.fan * rng.uniform(-1, 1, len(positions))
    across = pattern.depth * np.sin(pattern.angle)
    separators, depths = separators_of(tangents, angles, across)
    return Row(
        junctions=junctions,
        separators=separators,
        depths=depths,
        is_slot=is_slot,
        **pattern.options,
    )


def _intervals(
    rng: np.random.Generator, pattern: Pattern, length: float
) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of slots and breaks that add up to a length or a little more, and which are slots."""
    lengths, is_slot, left = [], [], pattern.run and int(rng.integers(1, pattern.run + 1))
    while not lengths or sum(lengths) < length:
        if pattern.run and left == 0:
            lengths.append(pattern.break_length)
            is_slot.append(False)
            left = pattern.run
        lengths.append(pattern.entrance * (1 + pattern.width_spread * rng.uniform(-1, 1)))
        is_slot.append(True)
        left -= 1
    return np.array(lengths), np.array(is_slot)


def _sample_slot(
    rng: np.random.Generator, config: RowConfig, slot_type: str
) -> tuple[float, float, float]:
    """Entrance, depth and interior angle."""
    if slot_type == 'parallel':
        return draw(rng, config.parallel_length), draw(rng, config.parallel_depth), _RIGHT
    width = draw(rng, config.perpendicular_width)
    if slot_type == 'perpendicular':
        return width, draw(rng, config.perpendicular_depth), _RIGHT
    angle = np.deg2rad(draw(rng, config.slant))
    # the nose of an aslant car stands back from the entrance line, so its slot is longer
    depth = draw(rng, config.slanted_depth) + 0.4 * width / np.tan(angle)
    return width / np.sin(angle), depth, angle if chance(rng, 0.5) else np.pi - angle


def _sample_curvature(
    rng: np.random.Generator, config: RowConfig, entrance: float, depth: float
) -> float:
    """Curvature at which slots neither bend visibly nor run to a point at their rear."""
    if not chance(rng, config.curved):
        return 0.0
    radius = max(draw(rng, config.radius), _LEAST_RADIUS * entrance)
    return 1 / radius if chance(rng, 0.5) else -1 / max(radius, 3 * depth)


def _sample_lines(rng: np.random.Generator, config: RowConfig, slot_type: str) -> dict[str, Any]:
    """The fields of :class:`Row` that say how its lines are painted."""
    style = choose(rng, config.styles)
    if slot_type == 'parallel' or (style == 'band' and slot_type == 'slanted'):
        style = 'closed'
    closed = style == 'closed'
    double = style == 'rounded' or (closed and chance(rng, config.double))
    width = draw(rng, config.line_width)
    width = min(width, max(config.line_width[0], 0.13)) if double else width
    gap = width + draw(rng, config.double_gap) if double else 0.0
    gap = draw(rng, config.band_width) if style == 'band' else gap
    entrance = choose(rng, config.entrances) if closed else 'solid'
    lines = {
        'style': style,
        'line_width': width,
        'gap': gap,
        'entrance': entrance,
        'entrance_dash': draw(rng, config.entrance_dash),
        'rear_line': closed and chance(rng, config.rear_line),
    }
    if closed:
        ends = (chance(rng, config.overrun), chance(rng, config.overrun))
        lines['overrun'] = tuple(draw(rng, config.overrun_length) if e else 0.0 for e in ends)
    bare = style == 'open' or entrance != 'solid'
    if bare and slot_type != 'parallel' and chance(rng, config.short):
        lines |= {'separator_reach': draw(rng, config.short_length), 'rear_line': False}
    elif chance(rng, config.dashed_separators):
        lines['separator_dash'] = draw(rng, config.separator_dash)
    return lines
