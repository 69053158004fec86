"""Heat maps over images, beside the images."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.visualization.utils import convert_overlay_heatmap

from mmdet_ext.utils.files import write_whole
from mmdet_ext.visualization.canvas import draw_lines, enlarged, fixed, line_width
from mmdet_ext.visualization.montage import captioned, tile

from .predictions import Prediction

_DARK, _LIGHT = (0, 0, 0), (255, 255, 255)


def draw_heat(
    image: np.ndarray,
    heat: np.ndarray,
    predictions: Sequence[Prediction],
    lines: Sequence[str],
) -> np.ndarray:
    """Picture of an image, beside it the same with a heat map over it, predictions outlined in both.

    Args:
        image: RGB, uint8, ``(H, W, 3)``.
        heat: Shape ``(H, W)``.
        predictions: In pixels of the image.
        lines: Caption.

    Returns:
        RGB, uint8; small images are enlarged.
    """
    canvas, factor = enlarged(image)
    heat = cv2.resize(heat, canvas.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    sides = [canvas.copy(), convert_overlay_heatmap(heat, canvas)]
    for side in sides:
        for prediction in predictions:
            _draw_outline(side, (prediction.outline + 0.5) * factor - 0.5)
    return captioned(tile(sides, 2), lines)


def _draw_outline(canvas: np.ndarray, outline: np.ndarray) -> None:
    width = line_width(canvas)
    if len(outline) == 1:  # a ring, open in the middle
        turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)[:, None]
        outline = outline + 6 * width * np.concatenate([np.cos(turn), np.sin(turn)], 1)
    for colour, thickness in ((_DARK, 3 * width), (_LIGHT, width)):
        draw_lines(canvas, fixed(outline)[None], colour, thickness, closed=True)


def write_picture(picture: np.ndarray, path: Path) -> Path:
    """Write an RGB picture as PNG; folders are made."""
    _, content = cv2.imencode('.png', picture[..., ::-1])
    write_whole(path, content.tobytes())
    return path
