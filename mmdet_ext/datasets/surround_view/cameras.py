"""Fisheye cameras on the ego car and the ground as they see it.

Frame: see :mod:`~mmdet_ext.datasets.surround_view.view`; z is the height above the ground.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

FARTHEST = 60.0
"""Metres: rays that meet the ground farther away, or never, are taken to meet it here."""

_CELL = 4  # maps are computed at every fourth pixel and interpolated in between


@dataclass(frozen=True)
class Camera:
    """A fisheye camera of the model of Kannala and Brandt (2006).

    An angle theta from the optical axis appears ``focal * (theta + k1 theta^3 + k2 theta^5)`` pixels from
    the middle of the image; with k1 = k2 = 0 that is the equidistant fisheye.

    Attributes:
        position: Ground position and height in metres, ``(3,)``.
        yaw: Heading on the ground in radians, from x towards y.
        pitch: How far it looks down, radians.
        roll: Rotation about its axis, radians.
        focal: Pixels per radian on the axis.
        size: Width and height of its image in pixels.
        distortion: k1 and k2.
    """

    position: np.ndarray
    yaw: float
    pitch: float
    roll: float
    focal: float
    size: tuple[int, int]
    distortion: tuple[float, float] = (0.0, 0.0)

    @property
    def axes(self) -> np.ndarray:
        """Unit vectors to the right, down and forward of the camera, as rows, ``(3, 3)``."""
        heading = np.array([np.cos(self.yaw), np.sin(self.yaw)])
        cos, sin = np.cos(self.pitch), np.sin(self.pitch)
        right = np.array([-heading[1], heading[0], 0])
        down = np.array([*(-sin * heading), -cos])
        forward = np.array([*(cos * heading), -sin])
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        return np.stack([cos * right + sin * down, cos * down - sin * right, forward])

    def project(self, points: np.ndarray) -> np.ndarray:
        """Where points appear.

        Args:
            points: Metres, ``(..., 3)``.

        Returns:
            Pixels, ``(..., 2)``; also of points outside the image.
        """
        right, down, forward = np.moveaxis((points - self.position) @ self.axes.T, -1, 0)
        across = np.hypot(right, down)
        theta = np.arctan2(across, forward)
        scale = self._radius(theta) / np.maximum(across, 1e-9)
        return np.stack([right * scale, down * scale], -1) + self._middle

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Directions in which pixels look, ``(..., 2)`` to unit vectors ``(..., 3)``."""
        offset = pixels - self._middle
        radius = np.hypot(offset[..., 0], offset[..., 1])
        theta = self._angle(radius)
        lateral = offset * (np.sin(theta) / np.maximum(radius, 1e-9))[..., None]
        return np.concatenate([lateral, np.cos(theta)[..., None]], -1) @ self.axes

    def ground(self, pixels: np.ndarray) -> np.ndarray:
        """Where the lines of sight of pixels meet the ground, ``(..., 2)`` to metres ``(..., 2)``."""
        return np.stack(self._meet_ground(*np.moveaxis(self.rays(pixels), -1, 0)), -1)

    def ground_map(self, window: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`ground` of all pixels in a part of its image.

        Args:
            window: Left, top, right and bottom edge in pixels.

        Returns:
            x and y in metres, float32, each ``(bottom - top, right - left)``.
        """
        left, top, right, bottom = window
        corner = np.array([left, top])
        rays = interpolated(lambda pixels: self.rays(pixels + corner), (right - left, bottom - top))
        return self._meet_ground(*rays)

    def _meet_ground(
        self, x: np.ndarray, y: np.ndarray, z: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        own_x, own_y, height = (x.dtype.type(value) for value in self.position)
        reach = height / np.maximum(-z, height / x.dtype.type(FARTHEST))
        return x * reach + own_x, y * reach + own_y

    @property
    def _middle(self) -> np.ndarray:
        return (np.array(self.size) - 1) / 2

    def _radius(self, theta: np.ndarray) -> np.ndarray:
        k1, k2 = self.distortion
        square = theta**2
        return self.focal * theta * (1 + square * (k1 + square * k2))

    def _angle(self, radius: np.ndarray) -> np.ndarray:
        theta = np.linspace(0, np.pi, 1024)
        return np.interp(radius, np.maximum.accumulate(self._radius(theta)), theta)

    def disturbed(self, rng: np.random.Generator, degrees: float, metres: float) -> 'Camera':
        """The camera with errors of its mounting.

        Args:
            rng: Source of randomness.
            degrees: Standard deviation of each angle.
            metres: Standard deviation of each coordinate of the position.

        Returns:
            Another camera with the same lens.
        """
        yaw, pitch, roll = np.deg2rad(degrees) * rng.standard_normal(3)
        return replace(
            self,
            position=self.position + metres * rng.standard_normal(3),
            yaw=self.yaw + yaw,
            pitch=self.pitch + pitch,
            roll=self.roll + roll,
        )


def interpolated(function, size: tuple[int, int]) -> list[np.ndarray]:
    """Evaluate a smooth function of pixels at every fourth one and interpolate.

    Args:
        function: From pixels ``(N, M, 2)`` to values ``(N, M, C)``.
        size: Width and height in pixels.

    Returns:
        Values at all pixels: one float32 plane ``(height, width)`` for each of C.
    """
    columns, rows = (-(-length // _CELL) + 2 for length in size)
    x = (
        np.arange(columns) - 0.5
    ) * _CELL - 0.5  # one cell more on each side, centres as of cv2.resize
    y = (np.arange(rows) - 0.5) * _CELL - 0.5
    coarse = np.moveaxis(function(np.stack(np.meshgrid(x, y), -1)), -1, 0).astype(np.float32)
    full, inside = (
        (columns * _CELL, rows * _CELL),
        np.s_[_CELL : _CELL + size[1], _CELL : _CELL + size[0]],
    )
    return [cv2.resize(plane, full)[inside] for plane in coarse]


def onto_ground(points: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """Where things appear on the ground plane to an eye: their central projection.

    Args:
        points: Metres, ``(..., 3)``; those almost as high as the eye or higher are lowered.
        eye: Metres, ``(3,)``.

    Returns:
        Metres on the ground, ``(..., 2)``.
    """
    height = np.minimum(points[..., 2:], 0.96 * eye[2])
    return eye[:2] + (points[..., :2] - eye[:2]) * eye[2] / (eye[2] - height)
