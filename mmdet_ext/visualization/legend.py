"""What a picture of slots is read with: the meaning of colours and signs, and a scale bar."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import ImageDraw

from .canvas import text_size
from .lettering import LIGHT, Stamp, bold, draw_state, paste, stamped, text_width

_BAR_LENGTHS = (50, 20, 10, 5, 2, 1)  # metres
_LEGEND_SHARE = 1 / 8  # of the picture at most
_BAR_CORNERS = ((1, 1), (0, 1), (1, 0), (0, 0))  # right or left, bottom or top; best first
_LEGEND_CORNERS = ((0, 0), (1, 0), (0, 1), (1, 1))


def draw_legend(
    image: np.ndarray,
    classes: Sequence[str],
    palette: Sequence[tuple[int, int, int]],
    in_use: np.ndarray,
    occupancy: bool = True,
) -> None:
    """Explain colours and signs in the first corner that has room, if there is one.

    Args:
        image: RGB, shape ``(H, W, 3)``, uint8; drawn on in place.
        classes: Names of the slot types.
        palette: Their colours, RGB; repeated when there are fewer.
        in_use: Non-zero where nothing may be covered, ``(H, W)``.
        occupancy: Explain the signs for free and occupied.
    """
    colours = [tuple(map(int, palette[i % len(palette)])) for i in range(len(classes))]
    key = _legend(tuple(classes), tuple(colours), occupancy, text_size(image))
    place = _free_corner(in_use, key.size, text_size(image) // 2, _LEGEND_CORNERS)
    if place is not None and key.size.prod() <= _LEGEND_SHARE * in_use.size:
        paste(image, key, place)


@lru_cache(64)
def _legend(classes: tuple, colours: tuple, occupancy: bool, size: int) -> Stamp:
    lines = [*classes, 'entrance', *(['free', 'occupied'] if occupancy else [])]
    row, pad = round(1.5 * size), round(0.5 * size)
    width = round(max(text_width(line, size) for line in lines) + 1.5 * size + 2 * pad)

    def draw(pen: ImageDraw.ImageDraw, unit: int) -> None:
        edge = size * unit
        for i, line in enumerate(lines):
            x, y = pad * unit, (pad + i * row + (row - size) / 2) * unit
            middle = y + edge / 2
            if i < len(classes):
                pen.rectangle((x, y, x + edge, y + edge), colours[i])
            elif line == 'entrance':
                pen.line((x, middle, x + edge, middle), LIGHT, max(2, size // 4) * unit)
            else:
                draw_state(pen, (x, y), edge, line == 'occupied')
            pen.text((x + 1.5 * edge, middle), line, LIGHT, bold(edge), anchor='lm')

    return stamped((width, row * len(lines) + 2 * pad), draw, plate=True)


def draw_scale_bar(image: np.ndarray, metres_per_pixel: float, in_use: np.ndarray) -> None:
    """Draw a bar of 1, 2, 5, 10, 20 or 50 metres, the longest that a third of the width holds.

    It goes into the first corner that has room, else into the lower right one; there is none
    where a metre is too long.

    Args:
        image: RGB, shape ``(H, W, 3)``, uint8; drawn on in place.
        metres_per_pixel: Ground resolution of this picture.
        in_use: Non-zero where nothing should be covered, ``(H, W)``; gets the place of the bar.
    """
    longest = metres_per_pixel * image.shape[1] / 3
    metres = next((length for length in _BAR_LENGTHS if length <= longest), None)
    if metres is None:
        return
    size = text_size(image)
    bar = _scale_bar(metres, round(metres / metres_per_pixel), size)
    place = _free_corner(in_use, bar.size, size // 2, _BAR_CORNERS)
    if place is None:
        place = np.array(in_use.shape[::-1]) - bar.size - size // 2
    paste(image, bar, place)
    (left, top), (right, bottom) = place.clip(0), (place + bar.size).clip(0)
    in_use[top:bottom, left:right] = 1


@lru_cache(64)
def _scale_bar(metres: int, length: int, size: int) -> Stamp:
    text, pad, line = f'{metres} m', round(0.5 * size), max(1, round(size / 7))
    width = max(length, round(text_width(text, size))) + 2 * pad
    height = round(1.6 * size) + 2 * pad

    def draw(pen: ImageDraw.ImageDraw, unit: int) -> None:
        pen.text((width * unit / 2, pad * unit), text, LIGHT, bold(size * unit), anchor='mt')
        left, bottom = (width - length) / 2 * unit, (height - pad) * unit - 1
        right, tick, thick = left + length * unit - 1, 0.5 * size * unit, line * unit
        pen.rectangle((left, bottom - thick + 1, right, bottom), LIGHT)
        for x in (left, right - thick + 1):
            pen.rectangle((x, bottom - tick, x + thick - 1, bottom), LIGHT)

    return stamped((width, height), draw, plate=True)


def _free_corner(
    in_use: np.ndarray, size: np.ndarray, margin: int, corners: Sequence[tuple[int, int]]
) -> np.ndarray | None:
    """Upper left corner of the first place that is not in use."""
    limit = in_use.shape[::-1] - size - margin
    if (limit < margin).any():
        return None
    for corner in corners:
        place = np.where(corner, limit, margin)
        (left, top), (right, bottom) = place, place + size
        if not in_use[top:bottom, left:right].any():
            return place
    return None
