"""Drawing of boxes, masks and texts on plates, for any detector."""

import cv2
import numpy as np
from PIL import Image, ImageDraw

from .canvas import draw_lines, fixed, line_width
from .montage import font

_LUMINANCE = (0.299, 0.587, 0.114)


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    colours: list[tuple[int, int, int]],
    width: int | None = None,
) -> np.ndarray:
    """Outline boxes.

    Args:
        image: Shape ``(H, W, 3)``, uint8; drawn on in place.
        boxes: ``x1 y1 x2 y2`` in pixels, shape ``(K, 4)``.
        colours: One per box, in the channel order of the image.
        width: Of the lines in pixels; by default in proportion to the image.

    Returns:
        The image.
    """
    outlines = fixed(boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2))
    for outline, colour in zip(outlines, colours, strict=True):
        draw_lines(image, [outline], colour, width or line_width(image), closed=True)
    return image


def draw_masks(
    image: np.ndarray, masks: np.ndarray, colours: list[tuple[int, int, int]], opacity: float = 0.4
) -> np.ndarray:
    """Tint the pixels of masks.

    Args:
        image: Shape ``(H, W, 3)``, uint8; drawn on in place.
        masks: Shape ``(K, H', W')``, non-zero inside; of any size, stretched over the image.
        colours: One per mask, in the channel order of the image.
        opacity: Share of the colour, 0-1.

    Returns:
        The image.
    """
    for mask, colour in zip(masks, colours, strict=True):
        size, nearest = image.shape[1::-1], cv2.INTER_NEAREST
        inside = cv2.resize(mask.astype(np.uint8), size, interpolation=nearest) > 0
        image[inside] = (image[inside] * (1 - opacity) + np.multiply(colour, opacity)).round()
    return image


def draw_texts(
    image: np.ndarray,
    texts: list[str],
    places: np.ndarray,
    colours: list[tuple[int, int, int]],
    size: int = 11,
) -> np.ndarray:
    """Write short texts on plates, in black or white, whichever can be read.

    Args:
        image: RGB, shape ``(H, W, 3)``, uint8.
        texts: One per place.
        places: Upper left corners of the plates, ``(K, 2)``, pixels; moved into the image.
        colours: Colours of the plates, RGB.
        size: Height of the font in pixels.

    Returns:
        A new image of the same shape.
    """
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    for text, place, colour in zip(texts, places, colours, strict=True):
        extent = np.array([font(size).getlength(text) + 2, size + 2])
        low = np.clip(place, 0, np.maximum(picture.size - extent, 0)).round()
        draw.rectangle([*low, *(low + extent - 1)], fill=tuple(colour))
        ink = (0, 0, 0) if np.dot(colour, _LUMINANCE) > 128 else (255, 255, 255)
        draw.text(tuple(low + 1), text, ink, font(size), anchor='la')
    return np.array(picture)
