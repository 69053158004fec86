"""Paint that is no slot: arrows, zebra crossings, lane lines, hatched areas. Metres; nothing is drawn here."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mmdet_ext.datasets.surround_view.ranges import Range, Weights, choose
from mmdet_ext.datasets.surround_view.strokes import ribbon, spans_from_start, stroke

_FAR = 20.0  # metres: lines this long run through the whole view


@dataclass(frozen=True)
class MarkingsConfig:
    """How much other paint there is.

    Attributes:
        count: How many markings are tried where there are slots; rounded.
        count_if_empty: The same where there are none.
        kinds: How often each kind is drawn.
    """

    count: Range = (0.0, 2.5)
    count_if_empty: Range = (0.5, 4.5)
    kinds: Weights = field(
        default_factory=lambda: {
            'arrow': 3,
            'turn_arrow': 1,
            'zebra': 1,
            'blocks': 1,
            'hatched_area': 0.7,
            'solid_lines': 1,
            'dashed_line': 1,
            'bar': 0.7,
        }
    )


def sample_marking(rng: np.random.Generator, config: MarkingsConfig) -> list[np.ndarray]:
    """Draw a free marking about the origin whose own axis is x.

    Args:
        rng: Source of randomness.
        config: Its kinds.

    Returns:
        Polygons in metres, each ``(K, 2)``.
    """
    return _MAKERS[choose(rng, config.kinds)](rng)


def _arrow(rng: np.random.Generator) -> list[np.ndarray]:
    scale, shaft = rng.uniform(0.6, 1.1), rng.uniform(1.0, 2.6)
    head, width, spread = 0.9 * scale, 0.08 * scale, 0.26 * scale
    outline = [(-shaft, -width), (0, -width), (0, -spread), (head, 0)]
    return [np.array(outline + [(x, -y) for x, y in outline[2::-1]])]


def _turn_arrow(rng: np.random.Generator) -> list[np.ndarray]:
    """A shaft that ends in a barb to one side, with or without a barb ahead."""
    scale, side = rng.uniform(0.7, 1.1), rng.choice([-1, 1])
    width = 0.16 * scale
    bend = np.array([(-1.6, 0), (0, 0), (0.25, 0.15), (0.35, 0.5)]) * scale
    barb = np.array([(0.05, 0.45), (0.65, 0.45), (0.35, 1.0)]) * scale
    polygons = [ribbon(bend, width), barb]
    if rng.random() < 0.5:
        polygons += [stroke(bend[1], np.array([0.7 * scale, 0]), width)]
        polygons += [np.array([(0.7, -0.28), (0.7, 0.28), (1.3, 0)]) * scale]
    return [polygon * [1, side] for polygon in polygons]


def _zebra(rng: np.random.Generator) -> list[np.ndarray]:
    length, bar, pitch = rng.uniform(1.0, 3), rng.uniform(0.25, 0.5), rng.uniform(0.55, 1.1)
    return [
        stroke(np.array([0, k * pitch]), np.array([length, k * pitch]), bar)
        for k in range(rng.integers(2, 7))
    ]


def _blocks(rng: np.random.Generator) -> list[np.ndarray]:
    """A row of blocks across the lane, as on a speed bump."""
    pitch, width = rng.uniform(0.4, 0.7), rng.uniform(0.2, 0.4)
    spans = np.arange(rng.integers(3, 8))[:, None] * pitch + [0, pitch / 2]
    return [stroke(np.array([a, 0]), np.array([b, 0]), width) for a, b in spans]


def _hatched_area(rng: np.random.Generator) -> list[np.ndarray]:
    """Slanted bars with cut ends, without a frame: that would make junctions."""
    width, bar = rng.uniform(0.8, 1.6), rng.uniform(0.1, 0.18)
    pitch, lean = rng.uniform(0.4, 0.7), rng.uniform(0.4, 1.0) * width
    corners = np.array([(0, 0), (bar * 1.4, 0), (bar * 1.4 + lean, width), (lean, width)])
    return [corners + np.array([k * pitch, 0]) for k in range(rng.integers(3, 8))]


def _solid_lines(rng: np.random.Generator) -> list[np.ndarray]:
    """One or two lines that run through the whole view: their ends are not seen."""
    offsets = [0, rng.choice([rng.uniform(0.25, 0.4), rng.uniform(2.8, 3.5)])]
    width = rng.uniform(0.08, 0.2)
    ends = [(np.array([-_FAR, y]), np.array([_FAR, y])) for y in offsets[: rng.integers(1, 3)]]
    return [stroke(*pair, width) for pair in ends]


def _dashed_line(rng: np.random.Generator) -> list[np.ndarray]:
    spans, width = spans_from_start(_FAR, rng.uniform(0.6, 1.5)) - _FAR / 2, rng.uniform(0.1, 0.2)
    return [stroke(np.array([a, 0]), np.array([b, 0]), width) for a, b in spans]


def _bar(rng: np.random.Generator) -> list[np.ndarray]:
    """A wide short bar: a stop line, or the remains of an older marking."""
    return [stroke(np.zeros(2), np.array([rng.uniform(0.8, 2.8), 0]), rng.uniform(0.15, 0.4))]


_MAKERS: dict[str, Callable[[np.random.Generator], list[np.ndarray]]] = {
    'arrow': _arrow,
    'turn_arrow': _turn_arrow,
    'zebra': _zebra,
    'blocks': _blocks,
    'hatched_area': _hatched_area,
    'solid_lines': _solid_lines,
    'dashed_line': _dashed_line,
    'bar': _bar,
}
