"""Light and cameras: sun, lamps, reflections, shadows, four cameras, blur and noise."""

import cv2
import numpy as np

from mmdet_ext.datasets.surround_view.ground import noise
from mmdet_ext.datasets.surround_view.view import View, direction, unit_grid


def light_scene(
    rng: np.random.Generator, image: np.ndarray, view: View, condition: str
) -> np.ndarray:
    """Apply light, then the cameras.

    Args:
        rng: Source of randomness.
        image: BGR as in even light, uint8, shape ``(size, size, 3)``.
        view: The view of the ground.
        condition: ``day``, ``night`` or ``indoor``.

    Returns:
        BGR, uint8, shape ``(size, size, 3)``.
    """
    light = _gradient(rng, view.size)
    if condition == 'day' and rng.random() < 0.3:
        light *= _building_shadow(rng, view)
    if condition == 'night':
        light = _lamps(rng, view) * light
    light *= _seams(rng, view.size)
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.94, 1.06, 3)
    lit = image * light[..., None] * gain.astype(np.float32)
    if condition == 'indoor' or rng.random() < 0.1:
        lit += _glare(rng, view)[..., None]
    contrast = np.float32(rng.uniform(0.85, 1.15))
    lit = (lit - 110) * contrast + np.float32(110 + rng.uniform(-8, 12))
    return _expose(rng, lit, view)


def _gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = unit_grid(size)
    slope = direction(rng.uniform(0, 2 * np.pi)) * rng.uniform(0, 0.18)
    return (1 + np.float32(slope[0]) * x + np.float32(slope[1]) * y).astype(np.float32)


def _building_shadow(rng: np.random.Generator, view: View) -> np.ndarray:
    x, y = view.grid()
    normal = direction(rng.uniform(0, 2 * np.pi)).astype(np.float32)
    softness = np.float32(rng.uniform(0.03, 0.15))
    edge = normal[0] * x + normal[1] * y - np.float32(rng.uniform(0, view.extent / 2))
    shade = np.clip(edge / softness + 0.5, 0, 1)
    return 1 - np.float32(rng.uniform(0.3, 0.55)) * shade


def _lamps(rng: np.random.Generator, view: View) -> np.ndarray:
    x, y = view.grid()
    light = np.full((view.size, view.size), rng.uniform(0.45, 0.65), np.float32)
    for _ in range(rng.integers(1, 4)):
        centre, radius = rng.uniform(-6, 6, 2), rng.uniform(1.5, 4)
        light += np.float32(rng.uniform(0.2, 0.6)) * _bump(x - centre[0], y - centre[1], radius)
    return light


def _bump(x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """A round Gaussian as the product of a row and a column."""
    scale = np.float32(-0.5 / radius**2)
    return np.exp(scale * x.astype(np.float32) ** 2) * np.exp(scale * y.astype(np.float32) ** 2)


def _glare(rng: np.random.Generator, view: View) -> np.ndarray:
    """Streaks of light on smooth ground; they run away from the cameras."""
    small = View(max(view.size // 4, 16), view.extent)
    x, y = small.grid()
    glare = np.zeros((small.size, small.size), np.float32)
    for _ in range(rng.integers(1, 6)):
        angle = rng.uniform(0, 2 * np.pi)
        away = direction(angle).astype(np.float32)
        along = away[0] * x + away[1] * y - np.float32(rng.uniform(1, view.extent / 2))
        across = away[0] * y - away[1] * x
        length, width = rng.uniform(0.8, 2.5), rng.uniform(0.15, 0.6)
        glare += np.float32(rng.uniform(15, 70)) * np.exp(
            -((along / np.float32(length)) ** 2) - (across / np.float32(width)) ** 2
        )
    glare = cv2.resize(glare, (view.size, view.size), interpolation=cv2.INTER_LINEAR)
    return glare * np.clip(1 + 0.25 * noise(rng, view, 0.4), 0.3, 2)


def _seams(rng: np.random.Generator, size: int) -> np.ndarray:
    """Gains of the front, left, rear and right camera, blended along the diagonals."""
    x, y = unit_grid(size)
    softness = np.float32(rng.uniform(0.02, 0.15))
    right_of_one = np.clip((x + y) / softness + 0.5, 0, 1)
    right_of_other = np.clip((x - y) / softness + 0.5, 0, 1)
    front, left, rear, right = rng.normal(1, rng.uniform(0, 0.08), 4).astype(np.float32)
    upper = left + (front - left) * right_of_other
    lower = rear + (right - rear) * right_of_other
    return upper + (lower - upper) * right_of_one


def _expose(rng: np.random.Generator, lit: np.ndarray, view: View) -> np.ndarray:
    blur = rng.uniform(0, 0.022) / view.metres_per_pixel
    if blur > 0.3:
        lit = cv2.GaussianBlur(lit, (0, 0), blur)
    grain = rng.uniform(0.5, 5)
    lit += np.float32(grain) * rng.standard_normal(lit.shape[:2], dtype=np.float32)[..., None]
    return np.clip(lit, 0, 255).astype(np.uint8)
