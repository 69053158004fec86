"""Drawing of slots and marking points with OpenCV."""

import cv2
import numpy as np

POINT_COLOUR = (255, 255, 0)  # RGB, as all colours here
OCCUPIED_COLOUR = (230, 60, 60)
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
    radius = max(2.0, min(image.shape[:2]) / 60)
    for i, point in enumerate(points):
        centre, size = _fixed(point[None])[0, 0], round(radius * 2**_SHIFT)
        cv2.circle(image, centre.tolist(), size, POINT_COLOUR, 1, cv2.LINE_AA, _SHIFT)
        if directions is not None:
            stroke = np.stack([point, point + 3 * radius * directions[i]])
            cv2.polylines(image, [_fixed(stroke)], False, POINT_COLOUR, 1, cv2.LINE_AA, _SHIFT)
    return image


def _fixed(points: np.ndarray) -> np.ndarray:
    limit = 2**15  # far outside any image, far inside OpenCV's fixed point
    return np.round(np.clip(points, -limit, limit) * 2**_SHIFT).astype(np.int32)[:, None]
