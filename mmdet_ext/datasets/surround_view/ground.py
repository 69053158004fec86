"""Ground without paint: asphalt, concrete, brick pavers, epoxy."""

import cv2
import numpy as np

from mmdet_ext.datasets.surround_view.view import View

GROUNDS = ('asphalt', 'concrete', 'bricks', 'epoxy')
"""Kinds of ground."""


def noise(rng: np.random.Generator, view: View, scale: float) -> np.ndarray:
    """Smooth noise of about unit variance.

    Args:
        rng: Source of randomness.
        view: The view of the ground.
        scale: Size of its blobs in metres.

    Returns:
        float32, shape ``(size, size)``.
    """
    cells = int(np.clip(np.ceil(view.extent / scale), 2, view.size))
    tile = rng.standard_normal((cells, cells), dtype=np.float32)
    return cv2.resize(tile, (view.size, view.size), interpolation=cv2.INTER_CUBIC)


def draw_ground(rng: np.random.Generator, view: View, kind: str, rotation: float) -> np.ndarray:
    """Render bare ground.

    Args:
        rng: Source of randomness.
        view: The view of the ground.
        kind: One of :data:`GROUNDS`.
        rotation: Main axis of the scene in radians; pavers and joints follow it or lie across.

    Returns:
        BGR, float32 in 0-255, shape ``(size, size, 3)``.
    """
    tone, colour, grain = _MAKERS[kind](rng, view, rotation + rng.choice([0, np.pi / 4, 0.3]))
    tone += grain * noise(rng, view, 0.03) + 0.7 * grain * noise(rng, view, 0.12)
    tone += rng.uniform(2, 7) * noise(rng, view, 1.5)
    stains = noise(rng, view, rng.uniform(0.4, 1)) - rng.uniform(1, 2.2)
    tone -= rng.uniform(5, 30) * np.clip(stains, 0, 1)
    if kind in ('asphalt', 'concrete'):
        _add_cracks(rng, view, tone)
    return tone[..., None] * np.asarray(colour, np.float32)


def _tint(rng: np.random.Generator, *colour: float) -> np.ndarray:
    return np.array(colour) * rng.uniform(0.95, 1.05, 3)


def _asphalt(rng, view, rotation):
    tone = np.full((view.size, view.size), rng.uniform(55, 125), np.float32)
    for _ in range(rng.integers(0, 3)):  # patches of newer asphalt
        centre, half = rng.uniform(-5, 5, 2), rng.uniform(0.4, 2, 2)
        x, y = _rotated(view, rotation)
        inside = (np.abs(x - centre[0]) < half[0]) & (np.abs(y - centre[1]) < half[1])
        tone[inside] += rng.uniform(-18, 12)
    return tone, _tint(rng, 1, 1, 1), rng.uniform(3, 9)


def _concrete(rng, view, rotation):
    tone = np.full((view.size, view.size), rng.uniform(110, 170), np.float32)
    spacing, width = rng.uniform(3, 5, 2), rng.uniform(0.012, 0.03)
    for axis, step in zip(_rotated(view, rotation), spacing, strict=True):
        offset = np.abs(np.mod(axis + rng.uniform(0, step), step) - step / 2)
        tone -= rng.uniform(15, 45) * np.clip((width - offset) / width, 0, 1)
    return tone, _tint(rng, 0.96, 1, 1.02), rng.uniform(2, 5)


def _bricks(rng, view, rotation):
    length, height = rng.choice([(0.2, 0.1), (0.24, 0.12), (0.4, 0.2)])
    x, y = _rotated(view, rotation)
    row = np.floor(y / height)
    x = x / length + 0.5 * np.mod(row, 2)
    column = np.floor(x)
    tones = rng.uniform(80, 150) + rng.uniform(3, 12) * rng.standard_normal((64, 64))
    tone = tones[row.astype(np.int32) % 64, column.astype(np.int32) % 64].astype(np.float32)
    joint = np.minimum(
        (0.5 - np.abs(x - column - 0.5)) * length, (0.5 - np.abs(y / height - row - 0.5)) * height
    )
    width = rng.uniform(0.008, 0.016)
    tone -= rng.uniform(15, 40) * np.clip(1 - joint / width, 0, 1)
    colours = [(1, 1, 1), (0.75, 0.85, 1.1), (0.8, 0.95, 1.05), (0.65, 0.7, 1.1)]
    return tone, _tint(rng, *colours[rng.integers(4)]), rng.uniform(2, 6)


def _epoxy(rng, view, _rotation):
    tone = np.full((view.size, view.size), rng.uniform(75, 140), np.float32)
    colours = [(1, 1, 1), (0.7, 1.05, 0.6), (1.15, 0.9, 0.65), (0.85, 1.0, 0.85)]
    return tone, _tint(rng, *colours[rng.integers(4)]), rng.uniform(0.5, 2)


_MAKERS = {'asphalt': _asphalt, 'concrete': _concrete, 'bricks': _bricks, 'epoxy': _epoxy}


def _rotated(view: View, angle: float) -> tuple[np.ndarray, np.ndarray]:
    x, y = view.grid()
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cos * x + sin * y, cos * y - sin * x


def _add_cracks(rng: np.random.Generator, view: View, tone: np.ndarray) -> None:
    """Darken random walks, thinner than any painted line."""
    cracks = np.zeros(tone.shape, np.uint8)
    for _ in range(rng.integers(0, 4)):
        turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.35, 40))
        steps = 0.15 * np.stack([np.cos(turns), np.sin(turns)], -1)
        path = view.to_pixels(rng.uniform(-5, 5, 2) + np.cumsum(steps, 0))
        cv2.polylines(cracks, [np.round(path).astype(np.int32)], False, 255, 1, cv2.LINE_AA)
    tone -= rng.uniform(15, 40) / 255 * cracks
