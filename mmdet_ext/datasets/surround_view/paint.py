"""Paint on the ground: its colours, how it is laid, and how it wears off."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mmdet_ext.datasets.surround_view.blemishes import crack_paths
from mmdet_ext.datasets.surround_view.ground import Ground
from mmdet_ext.datasets.surround_view.ranges import Range, Weights, chance, choose, draw
from mmdet_ext.datasets.surround_view.texture import blend, modulate, octaves
from mmdet_ext.datasets.surround_view.view import View

if TYPE_CHECKING:
    from mmdet_ext.datasets.surround_view.layout import Paint, Text

_SUPERSAMPLING = 2
_INK_MARGIN = 2  # pixels around letters, so that their edges blend
_COLOURS = {  # BGR
    'white': (238, 240, 240),
    'yellow': (45, 185, 235),
    'blue': (215, 120, 35),
    'red': (50, 45, 205),
    'orange': (40, 120, 235),
    'green': (110, 160, 40),
    'pink': (125, 60, 235),
    'grey': (150, 150, 150),
    'dark': (60, 60, 60),
}


@dataclass(frozen=True)
class PaintConfig:
    """What paint is drawn from.

    Attributes:
        states: How often the paint of a scene is in each state.
        line_colours: How often the lines of the rows have each colour.
        marking_colours: How often arrows, zebras and lane lines have each colour.
        bay_colours: How often bays are filled with each colour.
        one_colour: Probability that all rows have lines of one colour.
        fresh: Opacity of fresh paint, 0 to 1.
        worn: Opacity of worn paint, 0 to 1.
        contrast: Contrast of faded paint with the ground, in grey levels 0-255; also the least of all other paint.
        flakes: Part of worn and faded paint that has flaked off, 0 to 1.
        patchy: Probability that worn or faded paint is gone in whole patches.
        cracked: Probability that cracks break the paint.
        dirt: Part of its brightness that paint loses to dirt, 0 to 1.
        repainted: Probability that older lines shine through a little aside of the lines.
        ghost_offset: Distance of those lines from today's, metres.
        tabs_dark: Probability that plates are dark with white text instead of white with dark text.
    """

    states: Weights = field(default_factory=lambda: {'fresh': 0.4, 'worn': 0.38, 'faded': 0.22})
    line_colours: Weights = field(
        default_factory=lambda: {
            'white': 0.72,
            'yellow': 0.2,
            'orange': 0.02,
            'blue': 0.03,
            'red': 0.015,
            'green': 0.015,
        }
    )
    marking_colours: Weights = field(
        default_factory=lambda: {'white': 0.6, 'yellow': 0.36, 'blue': 0.02, 'red': 0.02}
    )
    bay_colours: Weights = field(
        default_factory=lambda: {
            'red': 0.15,
            'pink': 0.2,
            'green': 0.35,
            'blue': 0.15,
            'grey': 0.1,
            'dark': 0.05,
        }
    )
    one_colour: float = 0.85
    fresh: Range = (0.82, 1.0)
    worn: Range = (0.45, 0.85)
    contrast: Range = (9.0, 40.0)
    flakes: Range = (0.03, 0.45)
    patchy: float = 0.3
    cracked: float = 0.25
    dirt: Range = (0.0, 0.25)
    repainted: float = 0.08
    ghost_offset: Range = (0.08, 0.3)
    tabs_dark: float = 0.15


def paint_ground(
    rng: np.random.Generator,
    config: PaintConfig,
    view: View,
    ground: Ground,
    paint: list['Paint'],
) -> tuple[np.ndarray, str]:
    """Paint the ground.

    Args:
        rng: Source of randomness.
        config: What paint is drawn from.
        view: The view of the ground.
        ground: Bare ground.
        paint: In the order in which it is painted.

    Returns:
        BGR, uint8, shape ``(H, W, 3)``, and the state of the paint, a key of ``config.states``.
    """
    state, image = choose(rng, config.states), ground.image.copy()
    left = _wear(rng, config, view, state)
    opacity = draw(rng, config.fresh if state == 'fresh' else config.worn)
    contrast = draw(rng, config.contrast)
    palette = Palette(rng, config)
    if chance(rng, config.repainted):
        _lay_ghosts(rng, config, view, image, paint)
    for item in paint:
        if item.role == 'band':
            _lay_setts(rng, view, image, item.polygons)
            continue
        colour, text_colour = palette.colours(item.role, item.row)
        limits = (contrast, contrast if state == 'faded' and item.role != 'bay' else 255.0)
        area, mask = _cropped_coverage(view, item.polygons)
        _lay(image[area], mask, left[area], colour, opacity, limits)
        for text in item.texts:
            area, mask = text_coverage(view, text)
            _lay(image[area], mask, left[area], text_colour, opacity, limits)
    return image, state


class Palette:
    """The colours of a scene: drawn when first asked for, then the same for all paint of that kind."""

    def __init__(self, rng: np.random.Generator, config: PaintConfig) -> None:
        self._rng, self._config = rng, config
        self._shared = chance(rng, config.one_colour)
        self._dark_tabs = chance(rng, config.tabs_dark)
        self._drawn: dict = {}

    def colours(self, role: str, row: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Colours of paint and of the text on it.

        Args:
            role: ``line``, ``rear``, ``bay``, ``marking`` or ``tab``.
            row: Index of the row that it belongs to, if any.

        Returns:
            Two times BGR, shape ``(3,)``.
        """
        if role == 'tab':
            plate, ink = ('dark', 'white') if self._dark_tabs else ('white', 'dark')
            return np.array(_COLOURS[plate]), np.array(_COLOURS[ink])
        kind = 'line' if role == 'rear' else role
        key = (kind, None if kind == 'marking' or (kind == 'line' and self._shared) else row)
        if key not in self._drawn:
            name = choose(self._rng, getattr(self._config, f'{kind}_colours'))
            self._drawn[key] = np.array(_COLOURS[name]) * self._rng.uniform(0.85, 1.03)
        return self._drawn[key], self._drawn[key]


def coverage(view: View, polygons: list[np.ndarray]) -> np.ndarray:
    """How much of each pixel the polygons cover.

    Args:
        view: The view of the ground.
        polygons: Metres, each ``(K, 2)``.

    Returns:
        uint8 from 0 to 255, shape ``(H, W)``.
    """
    mask = np.zeros(view.shape, np.uint8)
    area, part = _cropped_coverage(view, polygons)
    mask[area] = part
    return mask


def _cropped_coverage(view, polygons):
    """Coverage of the part of the view that the polygons reach, and which part that is."""
    points = view.to_pixels(np.concatenate(polygons)) if polygons else np.zeros((0, 2))
    area, part = _crop(view, points)
    mask = np.zeros(np.array(part.shape) * _SUPERSAMPLING, np.uint8)
    for polygon in polygons if mask.size else ():
        part.fill(mask, polygon, 255, _SUPERSAMPLING)
    size = (part.width, part.height)
    return area, cv2.resize(mask, size, interpolation=cv2.INTER_AREA) if mask.size else mask


def _crop(view: View, points: np.ndarray) -> tuple[tuple[slice, slice], View]:
    """The smallest part of a view that shows the points (pixels, ``(K, 2)``) and their edges."""
    shape = np.array([view.width, view.height])
    if not len(points):
        points = np.full((1, 2), -9.0)
    low = np.clip(np.floor(points.min(0)) - 2, 0, shape).astype(int)
    high = np.clip(np.ceil(points.max(0)) + 3, low, shape).astype(int)
    width, height = (high - low).tolist()
    centre = view.to_metres((low + high - 1) / 2)
    part = replace(view, width=width, height=height, centre=tuple(centre))
    return (slice(low[1], high[1]), slice(low[0], high[0])), part


def text_coverage(view: View, text: 'Text') -> tuple[tuple[slice, slice], np.ndarray]:
    """How much of each pixel the letters of a text cover.

    Args:
        view: The view of the ground.
        text: The text.

    Returns:
        The part of the view where it is, and uint8 from 0 to 255 of the shape of that part.
    """
    pixels = text.height / view.metres_per_pixel
    letters = _write(text.string, 2 * pixels)
    height = len(letters) - 2 * _INK_MARGIN
    down = -np.asarray(text.up) * pixels / height
    linear = np.stack([[down[1], -down[0]], down], -1)
    middle = (np.array(letters.shape[::-1]) - 1) / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * middle
    centre = view.to_pixels(text.centre)
    area, part = _crop(view, centre + corners @ linear.T)
    start = centre - [area[1].start, area[0].start] - linear @ middle
    matrix = np.concatenate([linear, start[:, None]], 1)
    if not part.width or not part.height:
        return area, np.zeros(part.shape, np.uint8)
    return area, cv2.warpAffine(letters, matrix, (part.width, part.height))


def _write(string, height):
    """Letters of about a height in pixels, cropped to their ink and a margin: uint8, 255 on ink."""
    size = float(np.clip(height, 8, 120)) / 21  # Hershey capitals are 21 pixels high
    thickness = max(round(2.6 * size), 1)
    (width, ascent), _ = cv2.getTextSize(string, cv2.FONT_HERSHEY_SIMPLEX, size, thickness)
    margin = thickness + ascent // 2
    canvas = np.zeros((ascent + 2 * margin, width + 2 * margin), np.uint8)
    origin, font = (margin, margin + ascent), cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(canvas, string, origin, font, size, 255, thickness, cv2.LINE_AA)
    x, y, width, ascent = cv2.boundingRect(canvas)
    ink = canvas[y : y + ascent, x : x + width]
    return cv2.copyMakeBorder(ink, *[_INK_MARGIN] * 4, cv2.BORDER_CONSTANT)


def _lay_setts(rng, view, image, polygons):
    """Strips of small stones, darker than the pavers beside them or at least different."""
    area, mask = _cropped_coverage(view, polygons)
    if not mask.any():
        return
    below = cv2.mean(image[area], mask)[:3]
    tone = np.mean(below) * rng.uniform(0.45, 0.75)
    stones = octaves(rng, view, {0.12: 0.08, 0.03: 0.08})[area]
    blend(image[area], mask, modulate(np.full((*mask.shape, 3), tone, np.uint8), 1 + stones))


def _lay(image, mask, left, colour, opacity, limits):
    """Blend paint in, so that its contrast with what is below stays between two limits in grey levels."""
    if not mask.any():
        return
    below = np.array(cv2.mean(image, mask)[:3])
    lowest, highest = limits
    if np.abs(colour - below).mean() < max(
        lowest, 25
    ):  # unseen: whoever paints takes another colour
        colour = np.array(_COLOURS['white' if below.mean() < 140 else 'dark'])
    difference = np.abs(colour - below).mean()
    share = np.clip(opacity, lowest / difference, max(highest, lowest) / difference)
    alpha = cv2.multiply(mask, left, scale=float(min(share, 1)) / 255)
    blend(image, alpha, colour)


def _wear(rng, config, view, state):
    """How much of the paint is left: uint8 from 0 to 255, shape ``(H, W)``."""
    level = 1 - draw(rng, config.dirt) * np.abs(octaves(rng, view, {1.0: 0.6, 0.2: 0.3}))
    if state != 'fresh':
        gone = draw(rng, config.flakes)
        patches = 0.9 if chance(rng, config.patchy) else 0.3
        field_left = octaves(rng, view, {0.7: patches, 0.1: 0.4, 0.03: 0.7})
        level *= np.clip(1.3 - 2.2 * gone + field_left, 0, 1)
    left = cv2.convertScaleAbs(np.maximum(level, 0), alpha=255)
    if chance(rng, config.cracked):
        cracks = crack_paths(rng, view, rng.integers(1, 8))
        pixels = [np.clip(view.to_pixels(path), -8192, 8192) for path in cracks]
        cv2.polylines(left, [p.round().astype(np.int32) for p in pixels], False, 0, 1, cv2.LINE_AA)
    return left


def _lay_ghosts(rng, config, view, image, paint):
    """Lines that were painted earlier and covered or scraped off, a little aside of today's."""
    angle, distance = rng.uniform(0, 2 * np.pi), draw(rng, config.ghost_offset)
    offset = distance * np.array([np.cos(angle), np.sin(angle)])
    colour = (25, 25, 25) if chance(rng, 0.4) else (220, 225, 225)
    alpha = rng.uniform(0.08, 0.25)
    for item in paint:
        if item.role == 'line':
            area, mask = _cropped_coverage(view, [p + offset for p in item.polygons])
            blend(image[area], cv2.convertScaleAbs(mask, alpha=alpha), colour)
