"""Shadows on the ground: of what stands there, of buildings and of trees."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mmdet_ext.datasets.surround_view.texture import octaves, rectangle, somewhere, threshold, turn
from mmdet_ext.datasets.surround_view.view import View

if TYPE_CHECKING:
    from mmdet_ext.datasets.surround_view.light import Light
    from mmdet_ext.datasets.surround_view.solids import Solid


def cast_shadows(
    rng: np.random.Generator, light: 'Light', view: View, solids: Sequence['Solid']
) -> np.ndarray:
    """Where the sun does not reach the ground.

    Args:
        rng: Source of randomness.
        light: A light with sun.
        view: The view of the ground.
        solids: What throws shadows besides ``light.cover``.

    Returns:
        uint8 from 0 in the sun to 255 in shadow, shape ``(H, W)``.
    """
    shadow = _cover_shadow(rng, light, view)
    for solid in solids:
        points = np.concatenate([face.vertices for face in solid.faces])
        points = points[:, :2] + points[:, 2:] * light.sun
        hull = cv2.convexHull(np.concatenate([points, solid.footprint]).astype(np.float32))
        view.fill(shadow, hull[:, 0], 255)
    size = round(light.penumbra / view.metres_per_pixel)
    return cv2.blur(shadow, (size, size)) if size > 1 else shadow


def _cover_shadow(rng, light, view):
    """The shadows of buildings and trees."""
    shadow, reach = np.zeros(view.shape, np.uint8), float(view.extent.sum())
    angle = rng.uniform(0, 2 * np.pi)
    if light.cover == 'streaks':
        shadow[:] = 255
        for _ in range(rng.integers(1, 4)):
            half = (reach, rng.uniform(0.1, 0.9))
            slant = angle + rng.normal(0, 0.1)
            view.fill(shadow, rectangle(somewhere(rng, view), half, slant), 0)
    elif light.cover != 'none':
        edge = somewhere(rng, view)
        view.fill(shadow, _stepped_edge(rng, edge, angle, reach), 255)
    if light.cover == 'leaves':
        gaps = threshold(octaves(rng, view, {0.8: 0.6, 0.2: 0.6}), rng.uniform(0, 0.8), 0.4)
        shadow = cv2.subtract(shadow, gaps)
    return shadow


def _stepped_edge(rng, start, angle, reach):
    """A half plane whose edge is that of roofs of different height, ``(K, 2)`` metres."""
    along = np.sort(rng.uniform(-reach / 4, reach / 4, rng.integers(0, 3)))
    stops = np.repeat(np.concatenate([[-reach], along, [reach]]), 2)[1:-1]
    levels = np.repeat(rng.uniform(-0.8, 0.8, len(along) + 1), 2)
    edge = np.stack([stops, levels], -1)
    corners = np.array([[reach, 2 * reach], [-reach, 2 * reach]])
    return start + np.concatenate([edge, corners]) @ turn(angle).T


def contact_shadows(light: 'Light', view: View, solids: Sequence['Solid']) -> np.ndarray:
    """Light that is left beside and under what stands on the ground.

    Args:
        light: The light.
        view: The view of the ground.
        solids: What stands there.

    Returns:
        uint8 from 0 for none to 255 for all, shape ``(H, W)``.
    """
    near = np.zeros(view.shape, np.uint8)
    for solid in solids:
        view.fill(near, solid.footprint, 255)
    if solids:
        core = 2 * round(0.1 / view.metres_per_pixel) + 1
        halo = 2 * round(0.4 / view.metres_per_pixel) + 1
        wide = cv2.blur(cv2.blur(near, (halo, halo)), (core, core))
        near = cv2.addWeighted(cv2.blur(near, (core, core)), 0.4, wide, 0.6, 0)
    return cv2.convertScaleAbs(near, alpha=-light.contact, beta=255)
