"""The ground as the surround view shows it: metres around the ego car to pixels, and back.

Ground frame: metres, origin under the image centre, x right, y down, as on screen; so angles,
directions and handedness are the image's.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

_SHIFT = 5  # cv2 draws in fixed point; this many bits of a pixel's fraction


@dataclass(frozen=True)
class View:
    """A square orthographic view of the ground.

    Attributes:
        size: Image width and height in pixels.
        extent: Width and height of the ground shown, in metres.
    """

    size: int
    extent: float

    @property
    def metres_per_pixel(self) -> float:
        """Ground resolution."""
        return self.extent / self.size

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Ground points to image points; the centre of the first pixel is (0, 0).

        Args:
            points: Metres, shape ``(..., 2)``.

        Returns:
            Pixels, shape ``(..., 2)``.
        """
        return np.asarray(points) / self.metres_per_pixel + (self.size - 1) / 2

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Ground coordinates x and y of the pixels in metres: a row ``(1, W)``, a column ``(H, 1)``."""
        axis = (np.arange(self.size, dtype=np.float32) - (self.size - 1) / 2) * np.float32(
            self.metres_per_pixel
        )
        return axis[None, :], axis[:, None]

    def fill(
        self, canvas: np.ndarray, polygon: np.ndarray, colour: tuple | float, scale: int = 1
    ) -> None:
        """Fill a polygon of the ground, anti-aliased, in place.

        Args:
            canvas: uint8 image, ``scale`` times the view's size.
            polygon: Metres, shape ``(K, 2)``.
            colour: Value of each channel, 0-255.
            scale: Supersampling of the canvas.
        """
        pixels = (self.to_pixels(polygon) + 0.5) * scale - 0.5
        points = np.round(pixels * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(canvas, [points], colour, cv2.LINE_AA, _SHIFT)


def direction(angle: float) -> np.ndarray:
    """Unit vector at an angle in radians, shape ``(2,)``."""
    return np.array([np.cos(angle), np.sin(angle)])


@lru_cache(maxsize=4)
def unit_grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates from -1 to 1 across the image: a row ``(1, size)`` and a column ``(size, 1)``."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    return axis[None, :], axis[:, None]
