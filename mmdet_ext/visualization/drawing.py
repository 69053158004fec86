"""Drawing of slots, marking points, boxes and masks."""

import cv2
import numpy as np
from PIL import Image, ImageDraw

from .montage import font

POINT_COLOUR = (255, 255, 0)  # RGB, as all colours here
OCCUPIED_COLOUR = (230, 60, 60)
FREE_COLOUR = (60, 220, 90)
HIDDEN_COLOUR = (255, 0, 255)
_LUMINANCE = (0.299, 0.587, 0.114)
_SHIFT = 3  # OpenCV draws at an eighth of a pixel


def draw_slots(
    image: np.ndarray,
    corners: np.ndarray,
    labels: np.ndarray,
    occupied: np.ndarray,
    palette: list[tuple[int, int, int]],
) -> np.ndarray:
    """Fill slots by type and mark their entrances; occupied ones are crossed out.

    Args:
        image: Shape ``(H, W, 3)``, uint8.
        corners: Shape ``(M, 4, 2)``, pixels.
        labels: Slot types, ``(M,)``.
        occupied: 1, 0 or -1 unknown, ``(M,)``.
        palette: Colour of each type, in the channel order of the image.

    Returns:
        A new image of the same shape.
    """
    width = max(1, round(min(image.shape[:2]) / 200))
    fill = image.copy()
    for quad, label in zip(corners, labels, strict=True):
        cv2.fillPoly(fill, [_fixed(quad)], palette[label], shift=_SHIFT)
    canvas = cv2.addWeighted(fill, 0.3, image, 0.7, 0)
    for quad, label, taken in zip(corners, labels, occupied, strict=True):
        cv2.polylines(canvas, [_fixed(quad)], True, palette[label], width, cv2.LINE_AA, _SHIFT)
        cv2.polylines(
            canvas, [_fixed(quad[:2])], False, (255, 255, 255), 2 * width, cv2.LINE_AA, _SHIFT
        )
        if taken == 1:
            for diagonal in (quad[[0, 2]], quad[[1, 3]]):
                cv2.polylines(
                    canvas, [_fixed(diagonal)], False, OCCUPIED_COLOUR, width, cv2.LINE_AA, _SHIFT
                )
    return canvas


def draw_points(
    image: np.ndarray, points: np.ndarray, directions: np.ndarray | None = None
) -> np.ndarray:
    """Circle marking points; a stroke shows the direction where one is given.

    Args:
        image: Shape ``(H, W, 3)``, uint8; drawn on in place.
        points: Shape ``(N, 2)``, pixels.
        directions: Unit vectors, zero where unknown, ``(N, 2)``, or None.

    Returns:
        The image.
    """
    width = max(1, round(min(image.shape[:2]) / 200))
    radius = max(2.0, min(image.shape[:2]) / 60)
    for i, point in enumerate(points):
        centre, size = _fixed(point[None])[0, 0], round(radius * 2**_SHIFT)
        cv2.circle(image, centre.tolist(), size, POINT_COLOUR, 1, cv2.LINE_AA, _SHIFT)
        if directions is not None:
            stroke = np.stack([point, point + 3 * radius * directions[i]])
            cv2.polylines(image, [_fixed(stroke)], False, POINT_COLOUR, width, cv2.LINE_AA, _SHIFT)
    return image


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
    width = width or max(1, round(min(image.shape[:2]) / 200))
    for box, colour in zip(boxes, colours, strict=True):
        outline = box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2)
        cv2.polylines(image, [_fixed(outline)], True, colour, width, cv2.LINE_AA, _SHIFT)
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


def draw_vacancy(image: np.ndarray, corners: np.ndarray, occupied: np.ndarray) -> np.ndarray:
    """Mark free slots with a ring in their middle; occupied ones have a cross, unknown ones nothing.

    Args:
        image: Shape ``(H, W, 3)``, uint8; drawn on in place.
        corners: Shape ``(M, 4, 2)``, pixels.
        occupied: 1, 0 or -1 unknown, ``(M,)``.

    Returns:
        The image.
    """
    radius = round(max(4.0, min(image.shape[:2]) / 60) * 2**_SHIFT)
    for middle in corners.mean(1)[occupied == 0]:
        centre = _fixed(middle[None])[0, 0].tolist()
        cv2.circle(image, centre, radius, FREE_COLOUR, 2, cv2.LINE_AA, _SHIFT)
    return image


def draw_hidden_corners(image: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Put a cross on corners that are labelled although they cannot be seen.

    Args:
        image: Shape ``(H, W, 3)``, uint8; drawn on in place.
        corners: Shape ``(K, 2)``, pixels.

    Returns:
        The image.
    """
    for place in np.clip(corners, -9999, 9999).round().astype(int).tolist():
        cv2.drawMarker(image, place, HIDDEN_COLOUR, cv2.MARKER_TILTED_CROSS, 10, 1, cv2.LINE_AA)
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


def _fixed(points: np.ndarray) -> np.ndarray:
    limit = 2**15  # far outside any image, far inside OpenCV's fixed point
    return np.round(np.clip(points, -limit, limit) * 2**_SHIFT).astype(np.int32)[:, None]
