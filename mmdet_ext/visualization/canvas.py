"""What all drawing shares: sizes in proportion to the picture, and OpenCV's fixed point."""

import cv2
import numpy as np

FRACTION = 3  # OpenCV draws at an eighth of a pixel
_SHORTER_SIDE = 256  # pixels of a picture in which signs can be read
_LIMIT = 2**15  # far outside any image, far inside OpenCV's fixed point


def enlarged(image: np.ndarray) -> tuple[np.ndarray, int]:
    """Enlarge a small image by the whole number that makes its shorter side 256 pixels or more.

    Args:
        image: Shape ``(H, W, 3)``, uint8.

    Returns:
        The image and the number; a larger image is returned as it is.
    """
    factor = -(-_SHORTER_SIDE // min(image.shape[:2]))
    if factor == 1:
        return image, 1
    size = image.shape[1] * factor, image.shape[0] * factor
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), factor


def line_width(image: np.ndarray) -> int:
    """Width in pixels of thin lines on a picture of this size: 2 at 512 x 512."""
    return max(1, round(_side(image) / 300))


def text_size(image: np.ndarray) -> int:
    """Height in pixels of text on a picture of this size: 12 at 512 x 512, never below 10."""
    return max(10, round(_side(image) / 44))


def _side(image: np.ndarray) -> float:
    return (image.shape[0] * image.shape[1]) ** 0.5


def fixed(points: np.ndarray) -> np.ndarray:
    """Pixels in OpenCV's fixed point, for calls with ``shift=FRACTION``.

    Args:
        points: Shape ``(..., 2)``; what is far outside any image comes nearer.

    Returns:
        Same shape, int32.
    """
    scaled = np.clip(points, -_LIMIT, _LIMIT) * 2**FRACTION
    return np.round(scaled).astype(np.int32, order='C')


def draw_lines(
    image: np.ndarray,
    lines: np.ndarray,
    colour: tuple[int, int, int],
    width: int,
    closed: bool = False,
) -> None:
    """Draw lines of several points each, in place.

    Args:
        image: Shape ``(H, W, 3)``, uint8.
        lines: From :func:`fixed`, shape ``(K, n, 2)``.
        colour: In the channel order of the image.
        width: In pixels.
        closed: Join the last point of each with its first.
    """
    cv2.polylines(image, list(lines), closed, colour, width, cv2.LINE_AA, FRACTION)
