"""Contrast of images; needs neither torch nor mmcv."""

import cv2
import numpy as np


def equalise_lightness(image: np.ndarray, clip_limit: float, tiles: tuple[int, int]) -> np.ndarray:
    """Equalise the histogram of lightness tile by tile, within limits; colours stay.

    Args:
        image: BGR, ``(H, W, 3)``, uint8.
        clip_limit: How far the contrast of a tile may rise; below 1 nothing changes.
        tiles: Number of tiles across and down.

    Returns:
        A new image.
    """
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)
    equaliser = cv2.createCLAHE(clip_limit, tuple(tiles))
    lab[..., 0] = equaliser.apply(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2BGR)
