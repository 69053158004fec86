"""Light on the ground: sun and shadows, lamps by night and in garages, coloured light, wet ground."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mmdet_ext.datasets.surround_view.ranges import Range, Weights, chance, choose, draw
from mmdet_ext.datasets.surround_view.shadows import cast_shadows, contact_shadows
from mmdet_ext.datasets.surround_view.texture import (
    UNIT_GAIN,
    modulate,
    octaves,
    rectangle,
    somewhere,
    turn,
)
from mmdet_ext.datasets.surround_view.view import View, direction

if TYPE_CHECKING:
    from mmdet_ext.datasets.surround_view.solids import Solid

_REACH = 8.0  # metres around the ego car within which lamps are
_DISTANT = 5.0, 20.0  # metres to lights of which nothing but a streak in the floor is seen
_SUN_HUE, _SKY_HUE = np.array([0.94, 1.0, 1.04]), np.array([1.07, 1.0, 0.95])  # BGR
_LAMP_HUES = {'white': (255, 255, 255), 'warm': (190, 230, 255), 'bluish': (255, 245, 225)}
_CASTS = {  # BGR
    'warm': (0.6, 0.95, 1.2),
    'blue': (1.25, 1.0, 0.8),
    'green': (0.95, 1.1, 0.9),
    'red': (0.75, 0.8, 1.3),
}


@dataclass(frozen=True)
class LightConfig:
    """What light is drawn from. Gains are 1 where the ground keeps its own brightness.

    Attributes:
        indoors: Of each kind of ground, the probability that it is in a garage.
        outdoors: How often outdoor scenes have each light.
        day: Gain in the sun.
        shade: Gain in the shade of the sun, part of that in the sun.
        overcast: Gain under clouds.
        night: Gain at night where no lamp shines.
        garage: Mean gain in garages.
        shadow_length: Of the shadows in the sun, part of the height of what throws them.
        building: Probability that a sunny scene is partly in the shadow of buildings.
        streaks: Probability that, instead, it is in shadow but for streaks of sun.
        leaves: Probability that the shadow of buildings is mottled as that of trees.
        penumbra: Width of the edges of shadows, metres.
        contact: Part of the light that things keep from the ground right beside them.
        unevenness: Amplitude of slow changes of brightness.
        casts: How often patches of coloured light have each colour.
        coloured: Probability of such patches at night and in garages.
        headlights: Probability at night and in garages that the ego car's lights are on.
        lamp_hues: How often lamps have each hue.
        ceiling: Height of the lamps in garages, metres.
        lamp_length: Of tube lamps, metres.
        lamp_width: Of tube lamps, metres.
        lamp_spacing: Distance of neighbouring tube lamps, metres.
        street_lamp: Height of street lamps, metres.
        lamp_strength: Brightness of a lamp's mirror image, part of white.
        distant_lights: How many lamps, windows and bright things further away throw streaks over a
            glossy floor in garages; a quarter as many by night.
        wet: How wet the ground is outdoors where it is not dry.
        rainy: Probability of wet ground under clouds and at night.
    """

    indoors: Weights = field(
        metadata={'probabilities': True},
        default_factory=lambda: {
            'asphalt': 0.12,
            'concrete': 0.55,
            'epoxy': 0.96,
            'bricks': 0.03,
            'grass': 0.0,
            'gravel': 0.1,
        },
    )
    outdoors: Weights = field(
        default_factory=lambda: {'day': 0.45, 'overcast': 0.33, 'night': 0.22}
    )
    day: Range = (0.85, 1.3)
    shade: Range = (0.4, 0.68)
    overcast: Range = (0.75, 1.25)
    night: Range = (0.3, 0.6)
    garage: Range = (0.55, 1.25)
    shadow_length: Range = (0.3, 2.2)
    building: float = 0.35
    streaks: float = 0.2
    leaves: float = 0.25
    penumbra: Range = (0.02, 0.12)
    contact: Range = (0.45, 0.85)
    unevenness: Range = (0.02, 0.13)
    casts: Weights = field(
        default_factory=lambda: {'warm': 0.45, 'blue': 0.35, 'green': 0.1, 'red': 0.1}
    )
    coloured: float = 0.3
    headlights: float = 0.4
    lamp_hues: Weights = field(default_factory=lambda: {'white': 0.6, 'warm': 0.2, 'bluish': 0.2})
    ceiling: Range = (2.2, 3.5)
    lamp_length: Range = (1.2, 6.0)
    lamp_width: Range = (0.1, 0.3)
    lamp_spacing: Range = (2.5, 6.0)
    street_lamp: Range = (4.0, 8.0)
    lamp_strength: Range = (0.4, 1.0)
    distant_lights: Range = (0, 24)
    wet: Range = (0.15, 0.7)
    rainy: float = 0.15


@dataclass(frozen=True)
class Lamp:
    """A lamp that shines down.

    Attributes:
        outline: Of its lit face, metres, ``(K, 3)``.
        colour: BGR, 0-255.
        strength: Brightness of its mirror image in a perfect mirror, 0 to 1.
    """

    outline: np.ndarray
    colour: tuple[float, float, float]
    strength: float


@dataclass(frozen=True)
class Light:
    """The light of a scene.

    Attributes:
        kind: ``day``, ``overcast``, ``night`` or ``garage``.
        gain: Of the lit ground, BGR, shape ``(3,)``.
        shade: Of the ground that the sun does not reach, part of ``gain``, BGR, shape ``(3,)``.
        sun: Where the shadow of a point falls, metres per metre of its height, ``(2,)``; None without sun.
        cover: What keeps the sun away besides the solids: ``none``, ``edges``, ``streaks`` or ``leaves``.
        penumbra: Width of the edges of shadows, metres.
        contact: Part of the light that things keep from the ground right beside them.
        unevenness: Amplitude of slow changes of brightness.
        casts: BGR gains of patches of coloured light.
        headlights: Whether the ego car's lights are on.
        lamps: The lamps within 8 metres.
        distant: Lights further away, which light nothing here but are mirrored.
        wet: How wet the ground is, 0 to 1.
    """

    kind: str
    gain: np.ndarray
    shade: np.ndarray
    sun: np.ndarray | None
    cover: str
    penumbra: float
    contact: float
    unevenness: float
    casts: list[tuple[float, float, float]]
    headlights: bool
    lamps: list[Lamp]
    distant: list[Lamp]
    wet: float


def sample_light(
    rng: np.random.Generator,
    config: LightConfig,
    ground_kind: str,
    gloss: float,
    axis: float = 0.0,
) -> Light:
    """Draw the light of a scene.

    Args:
        rng: Source of randomness.
        config: What light is drawn from.
        ground_kind: Kind of ground: it decides how likely the scene is in a garage.
        gloss: Of the ground, 0 to 1: very glossy floors are lit well.
        axis: Main axis of the site in radians: rows of lamps run along or across it.

    Returns:
        The light.
    """
    inside = chance(rng, min(config.indoors.get(ground_kind, 0.0), 1.0))
    kind = 'garage' if inside else choose(rng, config.outdoors)
    dark, sunny = kind in ('night', 'garage'), kind == 'day'
    sun = direction(rng.uniform(0, 2 * np.pi)) * draw(rng, config.shadow_length)
    colours = [_CASTS[choose(rng, config.casts)] for _ in range(rng.integers(1, 4))]
    level = draw(rng, getattr(config, kind)) * (1 + 0.15 * gloss * inside)
    hue = _SUN_HUE if sunny else rng.uniform(0.93, 1.07, 3)
    return Light(
        kind=kind,
        gain=level * hue,
        shade=draw(rng, config.shade) * _SKY_HUE,
        sun=sun if sunny else None,
        cover=_sample_cover(rng, config) if sunny else 'none',
        penumbra=draw(rng, config.penumbra),
        contact=draw(rng, config.contact),
        unevenness=draw(rng, config.unevenness),
        casts=colours if dark and chance(rng, config.coloured) else [],
        headlights=dark and chance(rng, config.headlights),
        lamps=_sample_lamps(rng, config, kind, axis) if dark else [],
        distant=_sample_distant(rng, config, kind) if dark else [],
        wet=draw(rng, config.wet)
        if kind in ('overcast', 'night') and chance(rng, config.rainy)
        else 0.0,
    )


def _sample_cover(rng, config):
    if chance(rng, config.building):
        return 'leaves' if chance(rng, config.leaves) else 'edges'
    return 'streaks' if chance(rng, config.streaks) else 'none'


def _sample_lamps(rng, config, kind, axis):
    """Street lamps at random places, or rows of tubes under a ceiling."""
    colour = tuple(float(c) for c in _LAMP_HUES[choose(rng, config.lamp_hues)])
    strength = draw(rng, config.lamp_strength)
    if kind == 'night':
        centres = rng.uniform(-_REACH, _REACH, (rng.integers(1, 4), 2))
        half, angle, z = rng.uniform(0.1, 0.3, 2), 0.0, draw(rng, config.street_lamp)
    else:
        length, width = draw(rng, config.lamp_length), draw(rng, config.lamp_width)
        half, angle = np.array([length, width]) / 2, axis + rng.integers(2) * np.pi / 2
        z, centres = draw(rng, config.ceiling), _lamp_grid(rng, config, length, angle)
    outlines = [rectangle(centre, half, angle) for centre in centres]
    return [Lamp(np.column_stack([o, np.full(4, z)]), colour, strength) for o in outlines]


def _sample_distant(rng, config, kind):
    """Small lights all around, most of them white."""
    if config.distant_lights[1] == 0:
        return []
    count = draw(rng, config.distant_lights) / (4 if kind == 'night' else 1)
    lights = []
    for _ in range(round(count)):
        centre = direction(rng.uniform(0, 2 * np.pi)) * draw(rng, _DISTANT)
        outline = rectangle(centre, rng.uniform(0.02, 0.35, 2), rng.uniform(0, np.pi))
        colour = np.array(_LAMP_HUES[choose(rng, config.lamp_hues)], float)
        if chance(rng, 0.2):
            colour *= _CASTS[choose(rng, config.casts)]
        strength = draw(rng, config.lamp_strength) * rng.uniform(0.2, 1)
        height = np.full(4, rng.uniform(1.5, 3.5))
        lights.append(Lamp(np.column_stack([outline, height]), tuple(colour.tolist()), strength))
    return lights


def _lamp_grid(rng, config, length, angle):
    """Centres of 2 to 10 lamps in rows, the nearest ones to the ego car."""
    pitch = np.array([length + rng.uniform(0.1, 3), draw(rng, config.lamp_spacing)])
    steps = np.arange(-8, 9)
    grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2) + rng.random(2)
    centres = (grid * pitch) @ turn(angle).T
    distance = np.linalg.norm(centres, axis=1)
    within = max(int((distance < _REACH).sum()), 2)
    return centres[np.argsort(distance)[: min(within, rng.integers(2, 11))]]


def shade_ground(
    rng: np.random.Generator,
    light: Light,
    view: View,
    image: np.ndarray,
    solids: Sequence['Solid'],
) -> np.ndarray:
    """Light the ground.

    Args:
        rng: Source of randomness.
        light: The light.
        view: The view of the ground.
        image: The ground in even white light, BGR, uint8, shape ``(H, W, 3)``.
        solids: What stands on the ground and throws shadows.

    Returns:
        BGR, uint8, shape ``(H, W, 3)``.
    """
    if light.sun is not None:
        shadow = cast_shadows(rng, light, view, solids)
        keep = (light.shade - 1) / 255  # of the light per step of the shadow
        gains = [
            cv2.convertScaleAbs(shadow, alpha=UNIT_GAIN * k, beta=UNIT_GAIN) for k in keep.tolist()
        ]
        image = modulate(image, cv2.merge(gains))
    small = view.reduced(4)
    contact = cv2.resize(contact_shadows(light, small, solids), (view.width, view.height))
    smooth = view.reduced(16)
    field = (_brightness(rng, light, smooth)[..., None] * light.gain).astype(np.float32)
    for colour in light.casts:
        weight = rng.uniform(0.3, 1) * _patch_of_light(rng, smooth)[..., None]
        field *= 1 + weight * (np.array(colour, np.float32) - 1)
    field = cv2.convertScaleAbs(field, alpha=UNIT_GAIN)
    field = cv2.resize(field, (view.width, view.height), interpolation=cv2.INTER_LINEAR)
    field = cv2.multiply(field, cv2.merge([contact] * 3), scale=1 / 255)
    return modulate(image, field)


def _brightness(rng, light, view):
    """Slow changes of brightness and the pools of lamps: float32, shape ``(H, W)``, about 1."""
    x, y = view.grid()
    field = 1 + octaves(rng, view, {6.0: light.unevenness, 2.0: 0.4 * light.unevenness})
    slope = direction(rng.uniform(0, 2 * np.pi)) * light.unevenness / view.extent.max()
    field += np.float32(slope[0]) * (x - view.centre[0]) + np.float32(slope[1]) * (
        y - view.centre[1]
    )
    if light.lamps:
        pools = _lamp_pools(light, x, y)
        if light.kind == 'garage':
            field *= 0.45 + 0.55 * pools / np.float32(max(pools.mean(), 1e-3))
        else:
            field += np.float32(rng.uniform(0.6, 1.8)) * pools
    if light.headlights:
        field += np.float32(rng.uniform(0.3, 1.2)) * _headlight_glow(x, y)
    if light.wet:
        soaked = np.clip(octaves(rng, view, {2.0: 0.6}) + 0.5 + light.wet, 0, 1)
        field *= 1 - np.float32(0.55 * light.wet) * soaked
    return np.clip(field, 0.12, 1.7)


def _lamp_pools(light, x, y):
    """Light of all lamps on the ground, 1 right under a single one."""
    pools = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    for lamp in light.lamps:
        height, ends = lamp.outline[0, 2], lamp.outline[[0, 2], :2]
        for share in (0.1, 0.5, 0.9):  # a tube lights as three points of it
            at = ends[0] * (1 - share) + ends[1] * share
            square = (x - np.float32(at[0])) ** 2 + (y - np.float32(at[1])) ** 2
            pools += 1 / (3 * (1 + square / np.float32(height**2)) ** 2)
    return pools


def _headlight_glow(x, y):
    """Two cones of light that begin ahead of the ego car, and a weak one behind it."""
    ahead = np.maximum(-y - 2.2, 0)
    glow = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    for side in (-0.6, 0.6):
        across = (x - np.float32(side)) / (0.35 + 0.3 * ahead)
        glow += np.exp(-(across**2)) * ahead / (0.5 + ahead) * np.exp(-ahead / 5)
    behind = np.maximum(y - 2.2, 0)
    return glow + 0.2 * np.exp(-((x / 1.2) ** 2)) * behind * np.exp(-behind)


def _patch_of_light(rng, view):
    """A soft patch that fades away to one side or all around: float32 0 to 1, shape ``(H, W)``."""
    x, y = view.grid()
    centre, axes = somewhere(rng, view), turn(rng.uniform(0, np.pi)).astype(np.float32)
    radii = rng.uniform(0.8, 5, 2).astype(np.float32)
    x, y = x - np.float32(centre[0]), y - np.float32(centre[1])
    u, v = (axes[0, k] * x + axes[1, k] * y for k in (0, 1))
    return np.exp(-((u / radii[0]) ** 2) - (v / radii[1]) ** 2)
