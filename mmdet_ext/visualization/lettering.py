"""Signs and text with transparency: made once, pasted many times."""

from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FREE_COLOUR, OCCUPIED_COLOUR = (0, 170, 120), (220, 80, 30)  # RGB; bluish green and vermilion
DARK, LIGHT = (20, 20, 24), (255, 255, 255)
_PLATE = (*DARK, 190)
_FINER = 4  # drawn so many times larger, then averaged
_FILE = Path(matplotlib.get_data_path()) / 'fonts/ttf/DejaVuSans-Bold.ttf'


class Stamp(NamedTuple):
    """Picture with transparency.

    Attributes:
        paint: RGB times opacity, float32, shape ``(h, w, 3)``.
        rest: Share of the ground that it lets through, float32, shape ``(h, w, 1)``.
    """

    paint: np.ndarray
    rest: np.ndarray

    @property
    def size(self) -> np.ndarray:
        """Width and height in pixels."""
        return np.array(self.rest.shape[1::-1])


def stamped(
    size: tuple[int, int], draw: Callable[[ImageDraw.ImageDraw, int], None], plate: bool = False
) -> Stamp:
    """Make a stamp.

    Args:
        size: Width and height in pixels.
        draw: Draws it with a pen, so many times larger.
        plate: Lay it on a dark, translucent plate.
    """
    large = tuple(_FINER * side for side in size)
    picture = Image.new('RGBA', large)
    pen = ImageDraw.Draw(picture)
    if plate:
        pen.rounded_rectangle((0, 0, large[0] - 1, large[1] - 1), 4 * _FINER, _PLATE)
    draw(pen, _FINER)
    values = np.asarray(picture.convert('RGBa').reduce(_FINER), np.float32)
    return Stamp(values[..., :3].copy(), 1 - values[..., 3:] / 255)


def paste(image: np.ndarray, stamp: Stamp, place: Iterable[float]) -> None:
    """Lay a stamp over an image, in place.

    Args:
        image: RGB, shape ``(H, W, 3)``, uint8.
        stamp: What leaves the image is cut off.
        place: Pixel of its upper left corner, x and y.
    """
    x, y = map(round, map(float, place))
    left, top = max(x, 0), max(y, 0)
    ground = image[top : max(y + len(stamp.rest), 0), left : max(x + stamp.rest.shape[1], 0)]
    rows, columns = (
        slice(top - y, top - y + len(ground)),
        slice(left - x, left - x + ground.shape[1]),
    )
    ground[:] = stamp.paint[rows, columns] + stamp.rest[rows, columns] * ground + 0.5


class Pasteboard:
    """Pastes stamps where they cover neither each other nor certain lines.

    Args:
        image: RGB, shape ``(H, W, 3)``, uint8; drawn on in place.
        lines: Not to be covered, from one end to the other, ``(K, 2, 2)``, pixels; None for none.
        distance: Least distance from them in pixels.
    """

    def __init__(
        self, image: np.ndarray, lines: np.ndarray | None = None, distance: int = 0
    ) -> None:
        self._image = image
        self._lines = [] if lines is None else np.clip(lines, -9999, 9999).astype(int).tolist()
        self._distance = distance
        self._boxes: list[tuple[float, float, float, float]] = []

    def paste_first(self, stamp: Stamp, centres: np.ndarray) -> bool:
        """Paste a stamp at the first of several places that is free and inside the image.

        Args:
            stamp: The stamp.
            centres: Where its centre may be, best first, ``(C, 2)``, pixels.

        Returns:
            Whether there was such a place.
        """
        for low in centres - stamp.size / 2:
            box = (*low.tolist(), *(low + stamp.size).tolist())
            if self._is_free(box):
                paste(self._image, stamp, box[:2])
                self._boxes.append(box)
                return True
        return False

    def _is_free(self, box: tuple[float, float, float, float]) -> bool:
        x1, y1, x2, y2 = box
        height, width = self._image.shape[:2]
        if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
            return False
        if any(x1 < b[2] and b[0] < x2 and y1 < b[3] and b[1] < y2 for b in self._boxes):
            return False
        far = self._distance
        around = int(x1) - far, int(y1) - far, int(x2 - x1) + 2 * far, int(y2 - y1) + 2 * far
        return not any(cv2.clipLine(around, start, end)[0] for start, end in self._lines)


@lru_cache(1024)
def slot_sign(occupied: int, text: str, size: int) -> Stamp:
    """Sign in a slot: P where it is free, a cross where it is occupied, and a text.

    Args:
        occupied: 1, 0 or -1 unknown.
        text: Such as a score, or nothing.
        size: Height of the text in pixels.
    """
    height = round(1.5 * size)
    start = (height if occupied >= 0 else 0) + 0.15 * size
    width = round(start + text_width(text, size) + 0.35 * size) if text else height

    def draw(pen: ImageDraw.ImageDraw, unit: int) -> None:
        edge = height * unit - 1
        pen.rounded_rectangle((0, 0, width * unit - 1, edge), edge / 2, _PLATE)
        if occupied >= 0:
            draw_state(pen, (0, 0), edge, bool(occupied))
        pen.text((start * unit, edge / 2), text, LIGHT, bold(size * unit), anchor='lm')

    return stamped((width, height), draw)


def draw_state(
    pen: ImageDraw.ImageDraw, place: tuple[float, float], edge: float, occupied: bool
) -> None:
    """Draw the disc that says free (a P) or occupied (a cross).

    Args:
        pen: Draws.
        place: Upper left corner, x and y.
        edge: Its diameter.
        occupied: Which of the two.
    """
    (x, y), rim = place, edge / 12
    pen.ellipse((x, y, x + edge, y + edge), LIGHT)
    colour = OCCUPIED_COLOUR if occupied else FREE_COLOUR
    pen.ellipse((x + rim, y + rim, x + edge - rim, y + edge - rim), colour)
    if not occupied:
        middle = (x + 0.52 * edge, y + 0.5 * edge)
        pen.text(middle, 'P', LIGHT, bold(round(0.68 * edge)), anchor='mm')
        return
    low, high = 0.3 * edge, 0.7 * edge
    for start, end in ((low, high), (high, low)):
        pen.line((x + low, y + start, x + high, y + end), LIGHT, round(edge / 7))


@lru_cache(1024)
def outlined_text(text: str, size: int, colour: tuple[int, int, int]) -> Stamp:
    """Text with a dark outline, to be read on any ground.

    Args:
        text: One line.
        size: Height in pixels.
        colour: RGB.
    """
    rim = max(1, round(size / 8))
    left, top, right, bottom = bold(size).getbbox(text, anchor='ls')

    def draw(pen: ImageDraw.ImageDraw, unit: int) -> None:
        place = (rim - left) * unit, (rim - top) * unit
        font, outline = bold(size * unit), rim * unit
        pen.text(place, text, colour, font, 'ls', stroke_width=outline, stroke_fill=DARK)

    return stamped((right - left + 2 * rim + 1, bottom - top + 2 * rim + 1), draw)


def text_width(text: str, size: int) -> float:
    """Width in pixels of a line of text."""
    return bold(size).getlength(text)


@cache
def bold(size: int) -> ImageFont.FreeTypeFont:
    """Font of a size in pixels."""
    return ImageFont.truetype(str(_FILE), size)
