"""What lies on the ground or is let into it: patches, cracks, stains, tyre marks, drains, covers, leaves."""

from dataclasses import dataclass

import cv2
import numpy as np

from mmdet_ext.datasets.surround_view.ranges import Range, chance, draw
from mmdet_ext.datasets.surround_view.texture import (
    blend,
    count_of,
    octaves,
    rectangle,
    somewhere,
    threshold,
    turn,
)
from mmdet_ext.datasets.surround_view.view import View, direction

_BLACK = (18, 18, 18)
_PALE = (210, 210, 210)
_BRITTLE = ('asphalt', 'concrete', 'gravel')


@dataclass(frozen=True)
class BlemishConfig:
    """What the ground's blemishes are drawn from. Densities are mean numbers on 100 square metres.

    Attributes:
        patches: Density of mended rectangles.
        cracks: Density of cracks in asphalt, concrete and gravel.
        oil: Density of oil stains.
        tyre_marks: Density of tyre marks.
        drains: Density of grated drains and channels.
        covers: Density of manhole covers.
        leaves: Density of leaves where there are any.
        leafy: Probability of leaves; there are none on epoxy.
        stained: Probability of large stains.
        puddles: Probability of puddles; there are none on epoxy.
        darkness: How much darker a blemish is than the ground, part of its tone.
    """

    patches: Range = (0.0, 1.2)
    cracks: Range = (0.0, 3.0)
    oil: Range = (0.0, 6.0)
    tyre_marks: Range = (0.0, 3.0)
    drains: Range = (0.0, 0.7)
    covers: Range = (0.0, 0.9)
    leaves: Range = (10.0, 150.0)
    leafy: float = 0.12
    stained: float = 0.5
    puddles: float = 0.1
    darkness: Range = (0.08, 0.55)


def add_blemishes(
    rng: np.random.Generator,
    config: BlemishConfig,
    view: View,
    image: np.ndarray,
    axis: float,
    kind: str,
) -> None:
    """Draw blemishes on the ground, in place.

    Args:
        rng: Source of randomness.
        config: What they are drawn from.
        view: The view of the ground.
        image: BGR, uint8, shape ``(H, W, 3)``.
        axis: Main axis of the site in radians; drains and patches follow it or lie across.
        kind: The kind of ground.
    """
    if kind in _BRITTLE:
        for _ in range(count_of(rng, config.patches, view)):
            _patch(rng, config, view, image, axis)
        _cracks(rng, config, view, image)
    if chance(rng, config.stained):
        _stains(rng, config, view, image)
    _oil(rng, config, view, image)
    _tyre_marks(rng, config, view, image)
    for _ in range(count_of(rng, config.drains, view)):
        _drain(rng, view, image, axis + rng.integers(2) * np.pi / 2)
    for _ in range(count_of(rng, config.covers, view)):
        _cover(rng, view, image, axis)
    if kind != 'epoxy' and chance(rng, config.puddles):
        _puddles(rng, view, image)
    if kind != 'epoxy' and chance(rng, config.leafy):
        _leaves(rng, config, view, image)


def _darken(rng, config, image, mask):
    blend(image, cv2.convertScaleAbs(mask, alpha=draw(rng, config.darkness)), _BLACK)


def _patch(rng, config, view, image, axis):
    """A mended rectangle, darker or lighter, often with a seam of tar."""
    outline = rectangle(somewhere(rng, view), rng.uniform(0.25, 2, 2), axis)
    mask = np.zeros(view.shape, np.uint8)
    view.fill(mask, outline, 255)
    colour = _BLACK if chance(rng, 0.65) else (200, 200, 200)
    blend(image, cv2.convertScaleAbs(mask, alpha=draw(rng, config.darkness) * 0.5), colour)
    if chance(rng, 0.5):
        _stroke(view, image, [np.concatenate([outline, outline[:1]])], 0.04, rng.uniform(60, 200))


def _stroke(view, image, paths, width, alpha, colour=_BLACK):
    """Draw paths ``(K, 2)`` as lines of a width in metres; below a pixel they are fainter instead of thinner."""
    mask, pixels = np.zeros(view.shape, np.uint8), width / view.metres_per_pixel
    thickness = max(round(pixels), 1)
    points = [np.clip(view.to_pixels(path), -8192, 8192) * 16 for path in paths]
    points = [np.round(p).astype(np.int32) for p in points]
    cv2.polylines(mask, points, False, 255, thickness, cv2.LINE_AA, 4)
    blend(image, cv2.convertScaleAbs(mask, alpha=alpha / 255 * min(pixels / thickness, 1)), colour)


def _walk(rng, start, heading, length, wobble):
    """A path that changes its heading a little every 10 cm, ``(K, 2)``."""
    turns = heading + np.cumsum(rng.normal(0, wobble, max(int(length / 0.1), 2)))
    return start + np.cumsum(0.1 * np.stack([np.cos(turns), np.sin(turns)], -1), 0)


def crack_paths(rng: np.random.Generator, view: View, count: int) -> list[np.ndarray]:
    """Cracks that wander and branch: open paths in metres, each ``(K, 2)``."""
    paths = []
    for _ in range(count):
        heading = rng.uniform(0, 2 * np.pi)
        trunk = _walk(rng, somewhere(rng, view), heading, rng.uniform(0.8, 5), 0.3)
        paths.append(trunk)
        for _ in range(rng.integers(0, 3)):
            fork = trunk[rng.integers(len(trunk))]
            side = heading + rng.choice([-1, 1]) * rng.uniform(0.5, 1.3)
            paths.append(_walk(rng, fork, side, rng.uniform(0.3, 1.5), 0.4))
    return paths


def _cracks(rng, config, view, image):
    paths = crack_paths(rng, view, count_of(rng, config.cracks, view))
    width = 0.04 if chance(rng, 0.2) else rng.uniform(0.005, 0.015)  # sealed with tar, or open
    _stroke(view, image, paths, width, rng.uniform(90, 220))


def _stains(rng, config, view, image):
    field = octaves(rng, view, {1.2: 0.8, 0.35: 0.35, 0.06: 0.1})
    _darken(rng, config, image, threshold(field, rng.uniform(0.7, 1.7), rng.uniform(0.4, 1.5)))


def _oil(rng, config, view, image):
    mask = np.zeros(view.shape, np.uint8)
    for _ in range(count_of(rng, config.oil, view)):
        centre, spread = somewhere(rng, view), rng.uniform(0.03, 0.25)
        for _ in range(rng.integers(2, 9)):
            middle = np.round(view.to_pixels(rng.normal(centre, spread))).astype(int)
            radius = rng.uniform(0.02, 0.16) / view.metres_per_pixel
            cv2.circle(mask, middle.tolist(), max(round(radius), 1), rng.uniform(90, 255), -1)
    size = 2 * max(round(0.03 / view.metres_per_pixel), 1) + 1
    _darken(rng, config, image, cv2.blur(mask, (size, size)))


def _tyre_marks(rng, config, view, image):
    """Pairs of long bends as wide as tyres, dark rubber or pale wear, that come and go."""
    count = count_of(rng, config.tyre_marks, view)
    masks = {_BLACK: np.zeros(view.shape, np.uint8), _PALE: np.zeros(view.shape, np.uint8)}
    for _ in range(count):
        heading, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.15)
        turns = heading + np.cumsum(0.25 * (bend + rng.normal(0, 0.02, 60)))
        steps = 0.25 * np.stack([np.cos(turns), np.sin(turns)], -1)
        path = somewhere(rng, view) + np.cumsum(steps, 0)
        sideways = np.stack([-np.sin(turns), np.cos(turns)], -1) * rng.uniform(1.4, 1.6)
        mask = masks[_BLACK if chance(rng, 0.75) else _PALE]
        paths = [path, path + sideways][: rng.integers(1, 3)]
        pixels = [view.to_pixels(p).round().astype(np.int32) for p in paths]
        thickness = max(round(rng.uniform(0.1, 0.22) / view.metres_per_pixel), 1)
        cv2.polylines(mask, pixels, False, rng.uniform(25, 110), thickness, cv2.LINE_AA)
    if count:
        fading = threshold(octaves(rng, view, {1.2: 0.6, 0.1: 0.15}), 0.2, 1.5)
        for colour, mask in masks.items():
            blend(image, cv2.multiply(mask, fading, scale=1 / 255), colour)


def _drain(rng, view, image, angle):
    """A grated channel across the site, or a short grating, of dark slots in grey metal or stone."""
    long = chance(rng, 0.5)
    half = np.array([rng.uniform(3, 8) if long else rng.uniform(0.2, 0.4), rng.uniform(0.08, 0.2)])
    centre, tone = somewhere(rng, view), rng.uniform(40, 150)
    view.fill(image, rectangle(centre, half, angle), (tone * 0.98, tone, tone))
    pitch, depth = rng.uniform(0.04, 0.09), rng.uniform(60, 150)
    if pitch > 2 * view.metres_per_pixel:  # else too fine to be seen
        along = np.arange(-half[0] + pitch, half[0], pitch)[:, None, None] * [1, 0]
        slots = along + 0.7 * half[1] * np.array([[0, -1], [0, 1]])
        _stroke(view, image, centre + slots @ turn(angle).T, 0.6 * pitch, depth, (5, 5, 5))
    edge = rectangle(centre, half, angle)
    _stroke(view, image, [np.concatenate([edge, edge[:1]])], 0.02, rng.uniform(60, 180))


def _cover(rng, view, image, angle):
    """A round or square cover with a rim, sometimes in a square of concrete, and a pattern of knobs."""
    centre, radius, tone = somewhere(rng, view), rng.uniform(0.25, 0.42), rng.uniform(45, 140)
    if chance(rng, 0.3):
        collar = np.full(2, radius * rng.uniform(1.2, 1.5))
        view.fill(image, rectangle(centre, collar, angle), (rng.uniform(100, 170),) * 3)
    turns = np.linspace(0, 2 * np.pi, 25)[:-1, None]
    rim = np.concatenate([np.cos(turns), np.sin(turns)], 1)
    if chance(rng, 0.35):
        rim = rectangle(np.zeros(2), np.full(2, 0.9), angle)
    view.fill(image, centre + radius * rim, (tone, tone, tone))
    ring = np.concatenate([rim, rim[:1]])
    paths = [centre + radius * ring, centre + 0.8 * radius * ring]
    paths += [centre + radius * 0.7 * np.outer((-1, 1), direction(a)) for a in angle + np.arange(3)]
    _stroke(view, image, paths, 0.02, rng.uniform(60, 200))


def _puddles(rng, view, image):
    """Standing water: darker, smooth, tinted by the sky."""
    field = octaves(rng, view, {2.0: 0.9, 0.5: 0.3})
    mask = threshold(field, rng.uniform(0.9, 1.7), 0.12)
    smooth = cv2.blur(image, (9, 9)) if mask.any() else image
    water = cv2.addWeighted(smooth, rng.uniform(0.45, 0.7), smooth, 0, rng.uniform(0, 25))
    blend(image, mask, cv2.add(water, (rng.uniform(0, 14), rng.uniform(0, 5), 0, 0)))


def _leaves(rng, config, view, image):
    count = count_of(rng, config.leaves, view)
    centres = somewhere(rng, view) + rng.normal(0, 3, (count, 2))
    colours = np.array([[30, 60, 110], [40, 110, 150], [40, 90, 70]])
    for centre in centres:
        angle, half = rng.uniform(0, np.pi), rng.uniform(0.02, 0.05)
        outline = rectangle(centre, (half, half * 0.55), angle)
        view.fill(image, outline, tuple(colours[rng.integers(3)] * rng.uniform(0.6, 1.2)))
