"""What an eye sees of a scene, drawn where it appears on the ground plane."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from mmdet_ext.datasets.surround_view.cameras import onto_ground
from mmdet_ext.datasets.surround_view.light import Lamp
from mmdet_ext.datasets.surround_view.solids import Solid, hull
from mmdet_ext.datasets.surround_view.view import View, fill_pixels

_STREAKS = ((0.05, 0.05, 0.5), (0.25, 0.25, 0.3), (0.6, 0.6, 0.2))
_LONG_STREAKS = ((0.08, 0.1, 0.2), (0.15, 0.6, 0.2), (0.25, 2.0, 0.25), (0.35, 6.0, 0.35))
"""How far a rough floor draws a mirror image out, towards the eye and away from it, as parts of its distance,
and with what share of its light: of lamps overhead, and of those seen at a flat angle."""

_SOFTNESS = 0.07  # metres by which the floor blurs what it mirrors


@dataclass(frozen=True)
class Scene:
    """What the cameras look at.

    Attributes:
        ground: The lit ground with its paint and shadows, BGR, uint8, as ``canvas`` shows it.
        canvas: The view that ``ground`` is drawn in; larger than the surround view.
        solids: Everything with height.
        lamps: What the ground mirrors.
        distant: Likewise, seen at so flat an angle that only streaks are left.
        gloss: Part of their light that the ground mirrors, 0 to 1.
    """

    ground: np.ndarray
    canvas: View
    solids: list[Solid] = field(default_factory=list)
    lamps: list[Lamp] = field(default_factory=list)
    distant: list[Lamp] = field(default_factory=list)
    gloss: float = 0.0


def look_from(scene: Scene, eye: np.ndarray) -> np.ndarray:
    """Everything that an eye sees, drawn where it appears on the ground plane.

    Args:
        scene: What there is.
        eye: Metres, ``(3,)``.

    Returns:
        BGR and what is hidden by something with height (255) or not (0), uint8, ``(H, W, 4)``, as
        ``scene.canvas`` shows it.
    """
    shines = scene.gloss > 0 and (scene.lamps or scene.distant)
    ground = mirror_lamps(scene, eye) if shines else scene.ground
    layer = cv2.merge([*cv2.split(ground), np.zeros(scene.canvas.shape, np.uint8)])
    for solid in sorted(scene.solids, key=lambda s: -np.linalg.norm(s.footprint.mean(0) - eye[:2])):
        draw_solid(layer, scene.canvas, solid, eye)
    return layer


def draw_solid(layer: np.ndarray, canvas: View, solid: Solid, eye: np.ndarray) -> None:
    """Draw what an eye sees of a solid in place.

    Args:
        layer: As :func:`look_from` returns it.
        canvas: The view that it is drawn in.
        solid: The solid.
        eye: Metres, ``(3,)``.
    """
    pixels = canvas.to_pixels(onto_ground(solid.vertices, eye))
    if (pixels.max(0) < 0).any() or (pixels.min(0) > [canvas.width, canvas.height]).any():
        return
    for i in np.flatnonzero(solid.facing(eye)):
        first, last = solid.spans[i]
        fill_pixels(layer, pixels[first:last], (*solid.faces[i].colour, 255))


def mirror_lamps(scene: Scene, eye: np.ndarray) -> np.ndarray:
    """The ground with the lamps that an eye sees in it.

    A lamp at height z is mirrored at -z; a rough floor draws its image out towards and away from the eye.

    Args:
        scene: What there is.
        eye: Metres, ``(3,)``.

    Returns:
        BGR, uint8, as ``scene.canvas`` shows it.
    """
    glare = _glare(scene.lamps, _STREAKS, scene.canvas.reduced(4), eye)
    if scene.distant:
        far = _glare(scene.distant, _LONG_STREAKS, scene.canvas.reduced(8), eye)
        glare += cv2.resize(far, glare.shape[1::-1])
    glare = np.clip(glare * np.float32(scene.gloss), 0, 255).astype(np.uint8)
    return cv2.add(scene.ground, cv2.resize(glare, (scene.canvas.width, scene.canvas.height)))


def _glare(lamps, streaks, view, eye):
    """Light of mirrored lamps: BGR, float32, ``(H, W, 3)``."""
    glare = np.zeros((*view.shape, 3), np.float32)
    for lamp in lamps:
        offset = onto_ground(lamp.outline * [1, 1, -1], eye) - eye[:2]
        light = np.zeros(view.shape, np.float32)
        for inward, outward, share in streaks:
            mask = np.zeros(view.shape, np.uint8)
            near, far = offset * (1 - inward), offset * (1 + outward)
            view.fill(mask, eye[:2] + hull(np.concatenate([near, far])), 255)
            light += mask * np.float32(share * lamp.strength / 255)
        glare += light[..., None] * np.array(lamp.colour, np.float32)
    return cv2.GaussianBlur(glare, (0, 0), max(_SOFTNESS / view.metres_per_pixel, 0.5))
