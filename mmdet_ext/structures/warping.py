"""Affine maps between images and the input of a network; needs neither torch nor mmcv."""

import cv2
import numpy as np


def affine_matrix(
    source: tuple[int, int],
    target: tuple[int, int],
    rotation: float = 0.0,
    zoom: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
    flip: bool = False,
) -> np.ndarray:
    """Map that flips, zooms to fit, rotates and shifts, about the centres of both images.

    Args:
        source: Width and height of the source image.
        target: Width and height of the target image.
        rotation: Radians, clockwise on screen.
        zoom: Factor on top of the one that fits the source into the target.
        shift: Pixels of the target.
        flip: Mirror left-right first.

    Returns:
        Shape ``(3, 3)``, for coordinates in which the centre of the first pixel is (0, 0).
    """
    factor = zoom * min(target[0] / source[0], target[1] / source[1])
    cos, sin = factor * np.cos(rotation), factor * np.sin(rotation)
    mirror = -1 if flip else 1
    linear = np.array([[cos * mirror, -sin], [sin * mirror, cos]])
    centre = (np.array(source) - 1) / 2
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = (np.array(target) - 1) / 2 + shift - linear @ centre
    return matrix


def warp_image(
    image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], border_value: int
) -> np.ndarray:
    """Warp an image without aliasing: before a strong reduction it is halved by area.

    Args:
        image: Shape ``(H, W, 3)``, uint8.
        matrix: Affine map, ``(3, 3)``.
        size: Output width and height.
        border_value: Grey value outside the source.

    Returns:
        Shape ``(size[1], size[0], 3)``, uint8.
    """
    while np.sqrt(abs(np.linalg.det(matrix[:2, :2]))) < 0.45:
        height, width = image.shape[:2]
        half = (max(width // 2, 1), max(height // 2, 1))
        grow = np.array([width / half[0], height / half[1]])
        back = np.diag([*grow, 1.0])
        back[:2, 2] = (grow - 1) / 2
        image, matrix = cv2.resize(image, half, interpolation=cv2.INTER_AREA), matrix @ back
    return cv2.warpAffine(
        image,
        matrix[:2],
        size,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(border_value,) * 3,
    )
