"""Paint that belongs to a row of slots by design: its lines, numbers, coloured ground, second lines.

Pure geometry in metres; nothing is drawn here.
"""

from dataclasses import dataclass, field

import numpy as np

from mmdet_ext.datasets.surround_view.ranges import Range, Weights, chance, choose, draw
from mmdet_ext.datasets.surround_view.rows import Row, edging, rear_strokes, row_strokes
from mmdet_ext.datasets.surround_view.strokes import extend_line, offset_line, ribbon
from mmdet_ext.structures.marking_points import unit

_LETTER_WIDTH = 0.85  # of the height, spacing included
_TAB_GAP = 0.25  # metres from a plate to the separators


@dataclass(frozen=True)
class Text:
    """Painted letters.

    Attributes:
        string: What they say.
        centre: Middle of the line of text, metres, ``(2,)``.
        height: Of a capital letter, metres.
        up: Unit vector to the top of the letters, ``(2,)``.
    """

    string: str
    centre: np.ndarray
    height: float
    up: np.ndarray


@dataclass(frozen=True)
class Paint:
    """Paint of one kind and colour.

    Attributes:
        polygons: Metres, each ``(K, 2)``.
        texts: Letters.
        role: ``line``, ``rear``, ``bay`` (coloured ground), ``band`` (strip of other paving),
            ``tab`` (number plate, its texts on it) or ``marking``.
        row: Index of the row that it belongs to; None for free markings.
    """

    polygons: list[np.ndarray]
    texts: list[Text] = field(default_factory=list)
    role: str = 'marking'
    row: int | None = None


@dataclass(frozen=True)
class TrimConfig:
    """How often a row carries paint besides the lines of its slots, and how large it is.

    Attributes:
        kerb_line: Probability of a second line in the lane along a row.
        kerb_line_offset: From the entrance line to it, metres.
        kerb_line_width: Metres.
        edge_lane: Probability of a wide coloured band in the lane along a row, edged by lines.
        edge_lane_width: Metres.
        numbers: Where slots are numbered: at the ``mouth``, ``deep`` inside, on ``tabs``
            (plates at the mouth), or ``none``.
        number_height: Height of the digits, metres.
        tab_height: Of the plates, across the entrance line, metres.
        coloured_bays: Probability that the slots of a row are filled with colour.
        bay_inset: From the slot's sides to the fill, metres.
    """

    kerb_line: float = 0.3
    kerb_line_offset: Range = (0.2, 0.5)
    kerb_line_width: Range = (0.06, 0.15)
    edge_lane: float = 0.12
    edge_lane_width: Range = (0.35, 0.7)
    numbers: Weights = field(
        default_factory=lambda: {'none': 0.48, 'mouth': 0.3, 'deep': 0.1, 'tabs': 0.12}
    )
    number_height: Range = (0.15, 0.4)
    tab_height: Range = (0.22, 0.42)
    coloured_bays: float = 0.15
    bay_inset: Range = (0.0, 0.12)


@dataclass(frozen=True)
class Trim:
    """Paint that belongs to a row by design.

    Attributes:
        kerb_line: Offset into the lane and width of a second line; width 0 is none.
        edge_lane: Begin and end of a coloured band in front of the row; equal is none.
        numbers: ``none``, ``mouth``, ``deep`` or ``tabs``.
        number_height: Metres.
        tab_height: Metres.
        prefix: What all numbers start with.
        first: The first number.
        bay_inset: From the sides of the slots to their colour, metres; None is no colour.
    """

    kerb_line: tuple[float, float] = (0.0, 0.0)
    edge_lane: tuple[float, float] = (0.0, 0.0)
    numbers: str = 'none'
    number_height: float = 0.3
    tab_height: float = 0.3
    prefix: str = ''
    first: int = 1
    bay_inset: float | None = None

    @property
    def front(self) -> float:
        """How far the paint reaches into the lane, metres."""
        return max(sum(self.kerb_line), self.edge_lane[1], self.tab_height / 2)


def sample_trim(rng: np.random.Generator, config: TrimConfig, slot_type: str) -> Trim:
    """Draw what else is painted on a row of slots of a type."""
    kerb_line = edge_lane = (0.0, 0.0)
    if chance(rng, config.kerb_line):
        kerb_line = (draw(rng, config.kerb_line_offset), draw(rng, config.kerb_line_width))
    if chance(rng, config.edge_lane):
        begin = sum(kerb_line) + rng.uniform(0.1, 0.2)
        edge_lane = (begin, begin + draw(rng, config.edge_lane_width))
    numbers = choose(rng, config.numbers)
    letter = str(rng.choice(list('ABCDEFGN')))
    prefixes = ('', letter, f'{letter}{rng.integers(1, 4)}-', f'{letter}-')
    return Trim(
        kerb_line,
        edge_lane,
        numbers='mouth' if slot_type == 'parallel' and numbers == 'deep' else numbers,
        number_height=draw(rng, config.number_height),
        tab_height=draw(rng, config.tab_height),
        prefix=str(rng.choice(prefixes)),
        first=int(rng.integers(1, 9) * 10 ** rng.integers(0, 4) + rng.integers(0, 60)),
        bay_inset=draw(rng, config.bay_inset) if chance(rng, config.coloured_bays) else None,
    )


def row_paint(row: Row, trim: Trim, index: int) -> list[Paint]:
    """All paint of a row, in the order in which it is painted.

    Args:
        row: The row.
        trim: What is painted besides its lines.
        index: The row's index in the layout.

    Returns:
        Paint without polygons or texts is left out.
    """
    line = extend_line(row.junctions, *row.overrun)
    tabs, numbers = _numbers(row, trim)
    lane, lane_lines = _edge_lane(line, trim, row.line_width)
    kerb = []
    if trim.kerb_line[1] > 0:
        kerb = [ribbon(offset_line(line, trim.kerb_line[0]), trim.kerb_line[1])]
    on_tabs = trim.numbers == 'tabs'
    paint = [
        Paint(edging(row), role='band', row=index),
        Paint(lane, role='bay', row=index),
        Paint(_bays(row, trim), role='bay', row=index),
        Paint(rear_strokes(row), role='rear', row=index),
        Paint(row_strokes(row) + lane_lines, [] if on_tabs else numbers, 'line', index),
        Paint(kerb, role='marking', row=index),
        Paint(tabs, numbers if on_tabs else [], 'tab', index),
    ]
    return [p for p in paint if p.polygons or p.texts]


def _edge_lane(
    line: np.ndarray, trim: Trim, line_width: float
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A coloured band along the entrance line, and the lines at its two edges."""
    begin, end = trim.edge_lane
    if begin == end:
        return [], []
    near, far = offset_line(line, begin), offset_line(line, end)
    return [np.concatenate([near, far[::-1]])], [ribbon(near, line_width), ribbon(far, line_width)]


def _bays(row: Row, trim: Trim) -> list[np.ndarray]:
    if trim.bay_inset is None:
        return []
    bays = []
    for p1, p2, p3, p4 in row.corners:
        aside = unit(p2 - p1) * trim.bay_inset
        bays.append(np.stack([p1 + aside, p2 - aside, p3 - aside, p4 + aside]))
    return bays


def _numbers(row: Row, trim: Trim) -> tuple[list[np.ndarray], list[Text]]:
    """Plates at the mouths of the slots, if any, and the numbers of the slots."""
    tabs, texts = [], []
    if trim.numbers == 'none':
        return tabs, texts
    for i, (p1, p2, p3, p4) in enumerate(row.corners):
        string = f'{trim.prefix}{trim.first + i}'
        length, up = float(np.linalg.norm(p2 - p1)), row.normals[row.is_slot][i]
        into = p3 + p4 - p1 - p2
        into = into / (into @ up)  # along the separators, one metre across the entrance line
        height = min(trim.number_height, 0.7 * length / (_LETTER_WIDTH * len(string)))
        centre = (p1 + p2) / 2 + into * (0.9 * height + row.line_width)
        if trim.numbers == 'deep':
            centre, height = np.stack([p1, p2, p3, p3, p4, p4]).mean(0), 1.5 * height
        elif trim.numbers == 'tabs':
            centre, height = (p1 + p2) / 2, min(height, 0.6 * trim.tab_height)
            if row.style == 'closed':
                centre = centre + into * (trim.tab_height / 2 + row.line_width)
            half = max((length - row.gap) / 2 - _TAB_GAP, 0.2)
            tabs.append(_tab(centre, unit(p2 - p1) * half, into * trim.tab_height))
        texts.append(Text(string, centre, height, up))
    return tabs, texts


def _tab(centre: np.ndarray, half: np.ndarray, into: np.ndarray) -> np.ndarray:
    """A plate whose two corners on the slot's side are cut off.

    Args:
        centre: Its middle, ``(2,)``.
        half: Half of it, along the entrance line, ``(2,)``.
        into: The whole of it, along the separators, ``(2,)``.

    Returns:
        Shape ``(4, 2)``.
    """
    across, along = np.array([[-0.5, -0.5, 0.5, 0.5], [-1, 1, 0.85, -0.85]])[:, :, None]
    return centre + along * half + across * into
