"""Tools that ground, paint and light share: noise, tone, colour, and pavers laid in a bond."""

from collections.abc import Mapping

import cv2
import numpy as np

from mmdet_ext.datasets.surround_view.ranges import Range, draw
from mmdet_ext.datasets.surround_view.view import View

UNIT_GAIN = 128
"""What stands for a gain of 1 in a uint8 image of gains; they reach from 0 to almost 2."""


def octaves(rng: np.random.Generator, view: View, amplitudes: Mapping[float, float]) -> np.ndarray:
    """Smooth noise as the sum of several sizes of blobs.

    Args:
        rng: Source of randomness.
        view: The view of the ground.
        amplitudes: Standard deviation (about) by the size of the blobs in metres. Blobs smaller than a pixel
            are fainter, as a camera would average them.

    Returns:
        float32 around 0, shape ``(H, W)``.
    """
    extent = view.extent[::-1]
    field = np.zeros((2, 2), np.float32)
    for scale in sorted(amplitudes, reverse=True):
        rows, columns = np.clip(np.ceil(extent / scale), 2, view.shape).astype(int)
        field = cv2.resize(field, (int(columns), int(rows)), interpolation=cv2.INTER_LINEAR)
        amplitude = amplitudes[scale] * min(1.0, scale / view.metres_per_pixel)
        tile = rng.random(field.shape, dtype=np.float32)
        tile -= np.float32(0.5)
        cv2.scaleAdd(tile, amplitude * np.sqrt(12), field, field)  # of unit variance before
    return cv2.resize(field, (view.width, view.height), interpolation=cv2.INTER_LINEAR)


def modulate(image: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Scale the brightness.

    Args:
        image: BGR, uint8, shape ``(H, W, 3)``.
        gain: From 0 to 2, shape ``(H, W)`` or ``(H, W, 3)`` float, or uint8 with :data:`UNIT_GAIN` for 1.

    Returns:
        BGR, uint8, shape ``(H, W, 3)``.
    """
    if gain.dtype != np.uint8:
        gain = cv2.convertScaleAbs(np.maximum(gain, 0), alpha=UNIT_GAIN)
    if gain.ndim == 2:
        gain = cv2.merge([gain] * 3)
    return cv2.multiply(image, gain, scale=1 / UNIT_GAIN)


def blend(image: np.ndarray, alpha: np.ndarray, colour: tuple | np.ndarray) -> None:
    """Lay a colour over an image, in place.

    Args:
        image: BGR, uint8, shape ``(H, W, 3)``.
        alpha: 0 for nothing to 255 for the colour alone, uint8, shape ``(H, W)``.
        colour: BGR 0-255, shape ``(3,)``, or an image of the same shape as ``image``.
    """
    x, y, width, height = cv2.boundingRect(alpha)
    if not width:
        return
    crop = np.s_[y : y + height, x : x + width]
    weight = cv2.merge([np.ascontiguousarray(alpha[crop])] * 3)
    under = cv2.multiply(image[crop], cv2.bitwise_not(weight), scale=1 / 255)
    if np.ndim(colour) == 1:
        over = cv2.merge([cv2.convertScaleAbs(weight[..., 0], alpha=c / 255) for c in colour])
    else:
        over = cv2.multiply(colour[crop], weight, scale=1 / 255)
    image[crop] = cv2.add(under, over)


def threshold(field: np.ndarray, level: float, softness: float) -> np.ndarray:
    """Where a field exceeds a level: uint8 from 0 to 255 over a ramp as wide as ``softness``, ``(H, W)``."""
    slope = 255 / softness
    ramp = cv2.multiply(field, 1.0, scale=slope) + np.float32(127.5 - slope * level)
    return np.clip(ramp, 0, 255).astype(np.uint8)


def somewhere(rng: np.random.Generator, view: View) -> np.ndarray:
    """A random point of the ground in view, metres, ``(2,)``."""
    return np.asarray(view.centre) + (rng.random(2) - 0.5) * view.extent


def count_of(rng: np.random.Generator, density: Range, view: View) -> int:
    """How many of a thing are in view.

    Args:
        rng: Source of randomness.
        density: Their mean number on 100 square metres.
        view: The view of the ground.
    """
    return int(rng.poisson(draw(rng, density) * view.extent.prod() / 100))


def rectangle(centre: np.ndarray, half: np.ndarray | tuple, angle: float) -> np.ndarray:
    """Corners ``(4, 2)`` of a rectangle of half sizes ``(2,)`` that is turned by an angle in radians."""
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return centre + (signs * half) @ turn(angle).T


def turn(angle: float) -> np.ndarray:
    """Matrix of a rotation by an angle in radians, ``(2, 2)``."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def bond_anchors(bond: str, count: int) -> np.ndarray:
    """Which cells of a square grid belong to the same paver.

    Args:
        bond: ``stack``, ``running``, ``herringbone`` and ``basket`` of pavers twice as long as wide, or
            ``square``.
        count: Cells on each side of the grid.

    Returns:
        Row and column of the first cell of each cell's paver, shape ``(2, count, count)``.
    """
    i, j = np.indices((count, count))
    if bond == 'stack':
        return np.stack([i, j - j % 2])
    if bond == 'running':
        return np.stack([i, j - (i + j) % 2])
    if bond == 'herringbone':
        step = (j - i) % 4
        return np.stack([i - (step == 2), j - (step == 1)])
    if bond == 'basket':
        upright = (i // 2 + j // 2) % 2
        return np.stack([i - i % 2 * upright, j - j % 2 * (1 - upright)])
    if bond == 'square':
        return np.stack([i, j])
    raise ValueError(f'bond is {bond!r}; expected stack, running, herringbone, basket or square.')


def cells_in_view(view: View, cell: float) -> int:
    """How many cells of a size in metres, in a square, cover the view however it is turned."""
    return int(np.ceil(np.hypot(*view.extent) / cell)) + 3


def lay_pattern(
    rng: np.random.Generator, view: View, pattern: np.ndarray, scale: float, angle: float
) -> np.ndarray:
    """Lay a square pattern over the ground.

    Args:
        rng: Source of randomness: where the pattern begins.
        view: The view of the ground.
        pattern: uint8, shape ``(P, P)`` or ``(P, P, 3)``; larger than the view's diagonal.
        scale: Metres per pixel of the pattern.
        angle: Direction of the pattern's rows in radians.

    Returns:
        uint8, shape ``(H, W)`` or ``(H, W, 3)``.
    """
    linear = turn(-angle) * view.metres_per_pixel / scale
    middle = (np.array([view.width, view.height]) - 1) / 2
    spare = max(len(pattern) - np.hypot(*view.extent) / scale, 0)
    start = (len(pattern) - 1) / 2 + (rng.random(2) - 0.5) * spare
    matrix = np.concatenate([linear, (start - linear @ middle)[:, None]], 1)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(pattern, matrix, (view.width, view.height), flags=flags)


def plain(view: View, colour: tuple | np.ndarray) -> np.ndarray:
    """An image of one colour (BGR 0-255): uint8, shape ``(H, W, 3)``."""
    row = np.full((view.width, 3), np.clip(colour, 0, 255), np.uint8)
    return np.repeat(row[None], view.height, 0)


def enlarge(cells: np.ndarray, size: int) -> np.ndarray:
    """Draw every cell of a grid ``(N, N, 3)`` as a square of ``size`` pixels."""
    pixels = len(cells) * size
    return cv2.resize(cells, (pixels, pixels), interpolation=cv2.INTER_NEAREST)
