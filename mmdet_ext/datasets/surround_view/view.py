"""The ground as the surround view shows it: metres around the ego car to pixels, and back.

Ground frame: metres, origin under the middle of the ego car, x right, y down as on screen, so that
angles, directions and handedness are the image's; the ego car heads up (-y). Heights z are above the ground.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

_SHIFT = 5  # cv2 draws in fixed point; this many bits of a pixel's fraction
_FARTHEST = 8192  # pixels: beyond, that overflows


@dataclass(frozen=True)
class View:
    """An orthographic view of a rectangle of the ground.

    Attributes:
        width: Image width in pixels.
        height: Image height in pixels.
        metres_per_pixel: Ground resolution.
        centre: Ground point under the middle of the image, metres.
    """

    width: int
    height: int
    metres_per_pixel: float
    centre: tuple[float, float] = (0.0, 0.0)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels, as of arrays."""
        return self.height, self.width

    @property
    def extent(self) -> np.ndarray:
        """Width and height of the ground shown, in metres, ``(2,)``."""
        return np.array([self.width, self.height]) * self.metres_per_pixel

    def padded(self, pixels: int) -> 'View':
        """The view with as many more pixels on every side."""
        return replace(self, width=self.width + 2 * pixels, height=self.height + 2 * pixels)

    def reduced(self, factor: int) -> 'View':
        """About the same ground at a lower resolution."""
        return replace(
            self,
            width=-(-self.width // factor),
            height=-(-self.height // factor),
            metres_per_pixel=self.metres_per_pixel * factor,
        )

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Ground points to image points; the centre of the first pixel is (0, 0).

        Args:
            points: Metres, shape ``(..., 2)``.

        Returns:
            Pixels, shape ``(..., 2)``.
        """
        middle = (np.array([self.width, self.height]) - 1) / 2
        return (np.asarray(points) - self.centre) / self.metres_per_pixel + middle

    def to_metres(self, pixels: np.ndarray) -> np.ndarray:
        """Image points to ground points, ``(..., 2)``; the inverse of :meth:`to_pixels`."""
        middle = (np.array([self.width, self.height]) - 1) / 2
        return (np.asarray(pixels) - middle) * self.metres_per_pixel + self.centre

    def depth_inside(self, points: np.ndarray) -> np.ndarray:
        """Distance of ground points ``(..., 2)`` from the image border in metres, negative outside, ``(...)``."""
        return (self.extent / 2 - np.abs(np.asarray(points) - self.centre)).min(-1)

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Ground coordinates x and y of the pixels: float32, a row ``(1, W)`` and a column ``(H, 1)``."""
        x = self.to_metres(np.stack([np.arange(self.width), np.zeros(self.width)], -1))[:, 0]
        y = self.to_metres(np.stack([np.zeros(self.height), np.arange(self.height)], -1))[:, 1]
        return x.astype(np.float32)[None, :], y.astype(np.float32)[:, None]

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
        fill_pixels(canvas, (self.to_pixels(polygon) + 0.5) * scale - 0.5, colour)


def fill_pixels(canvas: np.ndarray, pixels: np.ndarray, colour: tuple | float) -> None:
    """Fill a polygon of the image, anti-aliased, in place.

    Args:
        canvas: uint8 image.
        pixels: Corners, shape ``(K, 2)``.
        colour: Value of each channel, 0-255.
    """
    pixels = np.minimum(np.maximum(pixels, -_FARTHEST), _FARTHEST)
    points = np.rint(pixels * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(canvas, [points], colour, cv2.LINE_AA, _SHIFT)


def direction(angle: float) -> np.ndarray:
    """Unit vector at an angle in radians, shape ``(2,)``."""
    return np.array([np.cos(angle), np.sin(angle)])
