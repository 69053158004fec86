"""Paint on the ground: the lines of the slots, and other markings."""

import cv2
import numpy as np

from mmdet_ext.datasets.surround_view.ground import noise
from mmdet_ext.datasets.surround_view.layout import Row, stroke
from mmdet_ext.datasets.surround_view.view import View

_SUPERSAMPLING = 2
_LEAST_CONTRAST = 65  # mean difference of the channels, 0-255
_COLOURS = {'white': (235, 240, 240), 'yellow': (60, 190, 235), 'blue': (225, 130, 40)}


def row_strokes(row: Row) -> list[np.ndarray]:
    """Painted lines of a row of slots.

    Args:
        row: The row.

    Returns:
        Polygons in metres, each ``(K, 2)``.
    """
    junctions, half = row.junctions, row.line_width / 2
    strokes = []
    for i, junction in enumerate(junctions):
        at_end = i in (0, len(junctions) - 1)
        strokes += _separator(row, junction, row.style == 'closed' and at_end)
    if row.style == 'closed':
        strokes.append(stroke(junctions[0], junctions[-1], row.line_width, cap=half))
    if row.rear_line:
        rear = junctions[[0, -1]] + row.separator * row.depth
        strokes.append(stroke(*rear, row.line_width, cap=half))
    return strokes


def _separator(row: Row, junction: np.ndarray, single: bool) -> list[np.ndarray]:
    into, reach = row.separator, row.separator * row.depth
    if row.gap == 0 or single:
        cap = row.line_width / 2 if row.style == 'open' else 0
        return [stroke(junction, junction + reach, row.line_width, cap=cap)]
    if row.style == 'closed':
        side = row.along * row.gap / 2 / np.sin(row.angle)
        ends = [(junction + offset, junction + offset + reach) for offset in (side, -side)]
        return [stroke(*end, row.line_width) for end in ends]
    side, centre = np.array([-into[1], into[0]]) * row.gap / 2, junction + into * row.gap / 2
    lines = [
        stroke(centre + offset, junction + reach + offset, row.line_width)
        for offset in (side, -side)
    ]
    return [*lines, _half_ring(centre, -into, row.gap / 2, row.line_width)]


def _half_ring(
    centre: np.ndarray, apex: np.ndarray, radius: float, line_width: float
) -> np.ndarray:
    turn = np.linspace(0, np.pi, 13)[:, None]
    rim = np.cos(turn) * np.array([-apex[1], apex[0]]) + np.sin(turn) * apex
    half = line_width / 2
    return np.concatenate([centre + rim * (radius + half), centre + rim[::-1] * (radius - half)])


def coverage(view: View, polygons: list[np.ndarray]) -> np.ndarray:
    """How much of each pixel the polygons cover.

    Args:
        view: The view of the ground.
        polygons: Metres, each ``(K, 2)``.

    Returns:
        uint8 from 0 to 255, shape ``(size, size)``.
    """
    large = view.size * _SUPERSAMPLING
    mask = np.zeros((large, large), np.uint8)
    for polygon in polygons:
        view.fill(mask, polygon, 255, _SUPERSAMPLING)
    return cv2.resize(mask, (view.size, view.size), interpolation=cv2.INTER_AREA)


def slot_numbers(rng: np.random.Generator, view: View, row: Row) -> np.ndarray:
    """Numbers painted deep inside the slots, as a coverage like that of :func:`coverage`."""
    mask = np.zeros((view.size, view.size), np.uint8)
    height, first = rng.uniform(0.35, 0.7), rng.integers(1, 900)
    across = row.along
    for i, corners in enumerate(row.corners):
        text = np.zeros((40, 96), np.uint8)
        cv2.putText(text, str(first + i), (6, 32), cv2.FONT_HERSHEY_SIMPLEX, 1.1, 255, 3)
        scale = height / 28 / view.metres_per_pixel
        x_axis, y_axis = scale * across, scale * np.array([-across[1], across[0]])
        centre = view.to_pixels(corners.mean(0) * 0.6 + corners[2:].mean(0) * 0.4)
        linear = np.stack([x_axis, y_axis], -1)
        matrix = np.concatenate([linear, (centre - linear @ [36, 20])[:, None]], 1)
        moved = cv2.warpAffine(text, matrix, (view.size, view.size), flags=cv2.INTER_LINEAR)
        np.maximum(mask, moved, out=mask)
    return mask


def sample_colour(rng: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """Draw a colour of paint; it is white where another one would hardly be seen.

    Args:
        rng: Source of randomness.
        ground: What it is painted on, BGR, shape ``(size, size, 3)``.

    Returns:
        BGR, float32, shape ``(3,)``.
    """
    colour = np.array(_COLOURS[str(rng.choice(list(_COLOURS), p=[0.72, 0.2, 0.08]))])
    if np.abs(colour - np.array(cv2.mean(ground)[:3], np.float32)).mean() < _LEAST_CONTRAST:
        colour = np.array(_COLOURS['white'])
    return (colour * rng.uniform(0.88, 1.02)).astype(np.float32)


def wear(rng: np.random.Generator, view: View, amount: float) -> np.ndarray:
    """How much of the paint is left.

    Args:
        rng: Source of randomness.
        view: The view of the ground.
        amount: 0 for fresh paint to 1 for the most worn that is still readable.

    Returns:
        float32 from 0 to 1, shape ``(size, size)``.
    """
    flakes = 0.7 * noise(rng, view, 0.05) + 0.6 * noise(rng, view, 0.5)
    return np.clip(1.8 - 1.4 * amount + 0.55 * flakes, 0, 1) * (1 - 0.25 * amount)


def apply_paint(
    ground: np.ndarray, mask: np.ndarray, colour: np.ndarray, left: np.ndarray
) -> np.ndarray:
    """Lay paint over the ground.

    Args:
        ground: BGR, float32, shape ``(size, size, 3)``.
        mask: Coverage 0-255, shape ``(size, size)``.
        colour: BGR, shape ``(3,)``.
        left: Part of the paint that is left, shape ``(size, size)``.

    Returns:
        BGR, float32, shape ``(size, size, 3)``.
    """
    alpha = (mask * (left / np.float32(255)))[..., None]
    texture = 0.12 * (
        ground - np.array(cv2.mean(ground)[:3], np.float32)
    )  # the ground's grain shows through
    return ground + alpha * (colour + texture - ground)
