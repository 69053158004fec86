"""Contact sheets: pictures and their captions laid out in rows and columns."""

import textwrap
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT_SIZE = 12
INK, PAPER = (235, 235, 235), (64, 64, 64)
"""Text and background of a sheet, RGB."""

_GAP = 4  # pixels between pictures
_MARGIN = 4  # pixels around text
_FILE = Path(matplotlib.get_data_path()) / 'fonts/ttf/DejaVuSansMono.ttf'


@cache
def font(size: int = FONT_SIZE) -> ImageFont.FreeTypeFont:
    """Fixed-width font of a size in pixels."""
    return ImageFont.truetype(str(_FILE), size)


def tile(images: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Put images of any sizes on one grey sheet, row by row, unscaled.

    A column is as wide as its widest image, a row as high as its highest.

    Args:
        images: Each uint8, shape ``(h, w, 3)``.
        columns: Images in a row.

    Returns:
        uint8, shape ``(H, W, 3)``.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sizes = np.zeros((rows * columns, 2), int)
    sizes[: len(images)] = [image.shape[:2] for image in images]
    sizes = sizes.reshape(rows, columns, 2) + _GAP
    tops = np.cumsum([_GAP, *sizes[..., 0].max(1)])
    lefts = np.cumsum([_GAP, *sizes[..., 1].max(0)])
    sheet = np.full((tops[-1], lefts[-1], 3), PAPER, np.uint8)
    for i, image in enumerate(images):
        top, left = tops[i // columns], lefts[i % columns]
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def captioned(image: np.ndarray, lines: Sequence[str], most: int = 8) -> np.ndarray:
    """Write lines under an image.

    Args:
        image: RGB, uint8, shape ``(H, W, 3)``.
        lines: Text, wrapped to the image's width.
        most: Lines after wrapping; the rest is cut off with an ellipsis.

    Returns:
        uint8, shape ``(H', W, 3)``.
    """
    return np.concatenate([image, text_block(lines, image.shape[1], most=most)])


def text_block(
    lines: Sequence[str],
    width: int,
    *,
    size: int = FONT_SIZE,
    most: int | None = None,
    colours: Sequence[tuple[int, int, int] | None] | None = None,
) -> np.ndarray:
    """Picture of lines of text.

    Args:
        lines: Text; what is too long is wrapped, in a word where there is no space.
        width: Width of the picture in pixels.
        size: Height of the font in pixels.
        most: Lines after wrapping; the rest is cut off with an ellipsis. None: all.
        colours: Colour of the square in front of each line, or None for a line without one.

    Returns:
        RGB, uint8, shape ``(H, width, 3)``.
    """
    letter = font(size).getlength('x')
    fitting = max(1, int((width - 2 * _MARGIN) / letter))
    wrapped = []
    for line, colour in zip(lines, colours or [None] * len(lines), strict=True):
        indent = '  ' if colour else ''
        parts = textwrap.wrap(indent + line, fitting, subsequent_indent=indent) or ['']
        wrapped += [(parts[0], colour), *((part, None) for part in parts[1:])]
    if most is not None and len(wrapped) > most:
        wrapped = [*wrapped[: most - 1], (wrapped[most - 1][0][: fitting - 1] + '…', None)]
    height = round(size * 1.3)
    picture = Image.new('RGB', (width, height * len(wrapped) + 2 * _MARGIN), PAPER)
    draw = ImageDraw.Draw(picture)
    for i, (line, colour) in enumerate(wrapped):
        top = _MARGIN + i * height
        draw.text((_MARGIN, top), line, INK, font(size))
        if colour:
            draw.rectangle((_MARGIN, top + 2, _MARGIN + size - 4, top + size - 2), fill=colour)
    return np.asarray(picture)


def side_by_side(images: Sequence[np.ndarray], captions: Sequence[Sequence[str]]) -> np.ndarray:
    """Several versions of one picture on a sheet about as wide as high, each with its caption.

    Args:
        images: Each RGB, uint8, shape ``(h, w, 3)``.
        captions: Lines of each.

    Returns:
        RGB, uint8, shape ``(H, W, 3)``.
    """
    height, width = np.mean([image.shape[:2] for image in images], 0)
    columns = int(np.ceil(np.sqrt(len(images) * height / width)))
    return tile(list(map(captioned, images, captions)), columns)
