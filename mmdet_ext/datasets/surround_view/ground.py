"""Ground without paint: asphalt, concrete, pavers, grass pavers, epoxy, gravel."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from mmdet_ext.datasets.surround_view.blemishes import BlemishConfig, add_blemishes
from mmdet_ext.datasets.surround_view.ranges import Range, Weights, chance, choose, draw
from mmdet_ext.datasets.surround_view.texture import (
    UNIT_GAIN,
    blend,
    bond_anchors,
    cells_in_view,
    enlarge,
    lay_pattern,
    modulate,
    octaves,
    plain,
    rectangle,
    turn,
)
from mmdet_ext.datasets.surround_view.view import View

_GREY, _RED, _BEIGE = (1.0, 1.0, 1.0), (0.72, 0.82, 1.15), (0.86, 0.97, 1.06)
_GREEN, _BLUE = (0.82, 1.12, 0.72), (1.2, 0.98, 0.75)
_PAVED = ('asphalt', 'concrete', 'bricks')  # lanes beside which bays are paved otherwise
_HUES = {'grey': _GREY, 'red': _RED, 'beige': _BEIGE, 'green': _GREEN, 'blue': _BLUE}


@dataclass(frozen=True)
class GroundConfig:
    """What grounds are drawn from. Tones are grey levels 0-255, amplitudes parts of the tone.

    Attributes:
        kinds: How often the ground of the lane is of each kind.
        bay_kinds: How often the ground of paved bays is of each kind.
        paved_bays: Probability that the bays, or where none are given one side of the site, have a ground of their own.
        bonds: How often pavers are laid in each bond.
        hues: How often pavers have each hue.
        epoxy_hues: How often epoxy has each hue.
        askew: Probability that pavers lie at 45 degrees to the site.
        checkered: Probability that some pavers of a bond are darker than the others by rule.
        asphalt_tone: Tone of asphalt.
        concrete_tone: Tone of concrete and gravel.
        paver_tone: Tone of pavers and of the stones of grass pavers.
        epoxy_tone: Tone of epoxy.
        paver_size: Width of a paver, metres.
        joint_width: Width of the joints between pavers, metres.
        slab_size: Distance of the joints of concrete, metres.
        grain: Scale of every kind's own grain.
        blotches: Amplitude of the variation over decimetres and metres.
        grass: Part of the holes of grass pavers that is green; the rest is dry or bare.
        coloured_lane: Probability that epoxy has a lane of another hue.
        blemishes: What lies on the ground or is let into it.
    """

    kinds: Weights = field(
        default_factory=lambda: {
            'asphalt': 0.28,
            'concrete': 0.24,
            'epoxy': 0.28,
            'bricks': 0.1,
            'grass': 0.04,
            'gravel': 0.06,
        }
    )
    bay_kinds: Weights = field(
        default_factory=lambda: {'bricks': 0.45, 'grass': 0.4, 'concrete': 0.15}
    )
    paved_bays: float = 0.2
    bonds: Weights = field(
        default_factory=lambda: {
            'running': 0.4,
            'herringbone': 0.2,
            'basket': 0.15,
            'stack': 0.1,
            'square': 0.15,
        }
    )
    hues: Weights = field(
        default_factory=lambda: {'grey': 0.47, 'red': 0.2, 'beige': 0.31, 'green': 0.02}
    )
    epoxy_hues: Weights = field(
        default_factory=lambda: {'grey': 0.45, 'green': 0.33, 'blue': 0.12, 'red': 0.1}
    )
    askew: float = 0.15
    checkered: float = 0.35
    asphalt_tone: Range = (48.0, 130.0)
    concrete_tone: Range = (85.0, 175.0)
    paver_tone: Range = (85.0, 175.0)
    epoxy_tone: Range = (70.0, 165.0)
    paver_size: Range = (0.09, 0.22)
    joint_width: Range = (0.004, 0.014)
    slab_size: Range = (2.2, 5.0)
    grain: Range = (0.5, 1.5)
    blotches: Range = (0.01, 0.07)
    grass: Range = (0.2, 1.0)
    coloured_lane: float = 0.35
    blemishes: BlemishConfig = BlemishConfig()


@dataclass(frozen=True)
class Ground:
    """The ground of a scene, without paint and in even white light.

    Attributes:
        image: BGR, uint8, shape ``(H, W, 3)``.
        kind: A key of ``GroundConfig.kinds``; that of the lane.
        gloss: Part of their light that it mirrors, 0 to 1.
    """

    image: np.ndarray
    kind: str
    gloss: float


def draw_ground(
    rng: np.random.Generator,
    config: GroundConfig,
    view: View,
    axis: float,
    bays: Sequence[np.ndarray] = (),
    paved: bool = False,
) -> Ground:
    """Draw bare ground.

    Args:
        rng: Source of randomness.
        config: What grounds are drawn from.
        view: The view of the ground.
        axis: Main axis of the site in radians; joints, pavers and drains follow it or lie across.
        bays: Outlines of the rows of slots, metres, each ``(K, 2)``: what may have a ground of its own.
        paved: Whether the bays surely have one, as where no paint marks them.

    Returns:
        The ground.
    """
    kind = choose(rng, config.kinds)
    image, gloss = _surface(rng, config, view, kind, axis)
    if paved or (kind in _PAVED and chance(rng, config.paved_bays)):
        other, _ = _surface(rng, config, view, choose(rng, config.bay_kinds), axis)
        _pave(image, view, bays or [_one_side(rng, view, axis)], other)
    add_blemishes(rng, config.blemishes, view, image, axis, kind)
    return Ground(image, kind, gloss)


def _surface(rng, config, view, kind, axis):
    maker, amplitude, (low, high) = _KINDS[kind]
    image = maker(rng, config, view, axis)
    blotches, grain = draw(rng, config.blotches), amplitude * draw(rng, config.grain)
    relief = octaves(
        rng, view, {2.0: blotches, 0.6: 0.7 * blotches, 0.08: 0.5 * grain, 0.02: grain}
    )
    return modulate(image, 1 + relief), draw(rng, (low, high))


def _pave(image, view, areas, other):
    mask = np.zeros(view.shape, np.uint8)
    for area in areas:
        view.fill(mask, area, 255)
    blend(image, mask, other)


def _one_side(rng, view, axis):
    """A half plane beside the middle of the view."""
    reach = float(view.extent.sum())
    angle = axis + rng.integers(2) * np.pi
    offset = rng.uniform(0.1, 0.5) * view.extent.min() + reach
    centre = np.asarray(view.centre) + turn(angle) @ [0, offset]
    return rectangle(centre, (2 * reach, reach), angle)


def _tint(rng: np.random.Generator, hue: tuple) -> np.ndarray:
    return np.array(hue) * rng.uniform(0.98, 1.02, 3)


def _asphalt(rng, config, view, _axis):
    return plain(view, draw(rng, config.asphalt_tone) * _tint(rng, _GREY))


def _gravel(rng, config, view, _axis):
    image = plain(view, draw(rng, config.concrete_tone) * _tint(rng, _BEIGE))
    return modulate(image, 1 + octaves(rng, view, {0.25: 0.04, 0.05: 0.08}))


def _concrete(rng, config, view, axis):
    """Slabs that differ a little, between straight joints."""
    image = plain(view, draw(rng, config.concrete_tone) * _tint(rng, (0.98, 1.0, 1.01)))
    size = np.array([draw(rng, config.slab_size), draw(rng, config.slab_size)])
    reach = float(np.hypot(*view.extent))
    xs, ys = (np.arange(-reach / 2 - s * rng.random(), reach / 2 + s, s) for s in size)
    small, spread = (
        view.reduced(4),
        rng.uniform(0, 0.05),
    )  # joints hide that slabs end within 4 pixels
    gains = np.full(small.shape, UNIT_GAIN, np.uint8)
    joints, half = np.zeros(view.shape, np.uint8), rng.uniform(0.005, 0.012)
    for x in xs:
        for y in ys:
            centre = view.centre + turn(axis) @ ((x, y) + size / 2)
            gain = UNIT_GAIN * rng.normal(1, spread)
            small.fill(gains, rectangle(centre, size / 2, axis), gain)
        line = rectangle(view.centre + turn(axis) @ (x, 0), (half, reach), axis)
        view.fill(joints, line, 255)
    for y in ys:
        line = rectangle(view.centre + turn(axis) @ (0, y), (reach, half), axis)
        view.fill(joints, line, 255)
    gains = cv2.resize(gains, (view.width, view.height), interpolation=cv2.INTER_NEAREST)
    image = modulate(image, gains)
    blend(image, cv2.convertScaleAbs(joints, alpha=rng.uniform(0.2, 0.7)), (25, 25, 25))
    return image


def _epoxy(rng, config, view, axis):
    tone, hue = draw(rng, config.epoxy_tone), choose(rng, config.epoxy_hues)
    image = plain(view, tone * _saturate(_tint(rng, _HUES[hue]), rng.uniform(0.4, 1.8)))
    if chance(rng, config.coloured_lane):
        other = choose(rng, config.epoxy_hues)
        colour = tone * rng.uniform(0.8, 1.2) * _saturate(_tint(rng, _HUES[other]), 1.5)
        view.fill(image, _one_side(rng, view, axis), tuple(np.clip(colour, 0, 255)))
    return image


def _saturate(hue: np.ndarray, amount: float) -> np.ndarray:
    return np.clip(1 + (hue - 1) * amount, 0.2, 2)


def _bricks(rng, config, view, axis):
    """Pavers of one size; where checkered, every second one is dark, in every row or in every second row."""
    width = draw(rng, config.paver_size)
    count = cells_in_view(view, width)
    rows, columns = bond_anchors(choose(rng, config.bonds), count)
    tones = rng.normal(1, rng.uniform(0.02, 0.1), (count + 1, count + 1))[rows, columns]
    if chance(rng, config.checkered):
        every = rng.integers(1, 3)  # rows
        dark = (rows % every == 0) & ((columns // 2 + rows // every) % 2 == 0)
        tones = np.where(dark, tones * rng.uniform(0.5, 0.8), tones)
    tones *= draw(rng, config.paver_tone)
    colours = tones[..., None] * _tint(rng, _HUES[choose(rng, config.hues)])
    cells = np.clip(colours, 0, 255).astype(np.uint8)
    size = max(int(np.ceil(width / view.metres_per_pixel)), 2)
    pattern = enlarge(cells, size)
    joint = min(draw(rng, config.joint_width) * size / width, 1.0)  # pixels of the pattern
    ids = rows * (count + 1) + columns
    _cut_joints(pattern, cells, ids, size, 1 - rng.uniform(0.4, 0.8) * joint)
    angle = axis + rng.integers(2) * np.pi / 2 + chance(rng, config.askew) * np.pi / 4
    return lay_pattern(rng, view, pattern, width / size, angle)


def _cut_joints(pattern, cells, ids, size, gain):
    """Darken the last pixels of the cells where the next cell belongs to another paver, in place."""
    count = len(cells)
    blocks = pattern.reshape(count, size, count, size, 3)
    dark = (cells * gain).astype(np.uint8)
    lower, right = dark.copy(), dark.copy()
    same = ids[1:] == ids[:-1], ids[:, 1:] == ids[:, :-1]
    lower[:-1][same[0]] = cells[:-1][same[0]]
    right[:, :-1][same[1]] = cells[:, :-1][same[1]]
    blocks[:, :, :, -1] = right[:, None]
    blocks[:, -1] = np.minimum(lower[:, :, None], blocks[:, -1])


def _grass(rng, config, view, axis):
    """Stones with holes; the grass in them is green or dry, and hides the stone where it is thick."""
    width, hue = draw(rng, config.paver_size), _GREY if chance(rng, 0.5) else _BEIGE
    image = plain(view, draw(rng, config.paver_tone) * _tint(rng, hue))
    green = np.array([60, 105, 85]) * rng.uniform(0.6, 1.1)
    dry = np.array([95, 125, 140]) * rng.uniform(0.5, 1.1)
    lush = octaves(rng, view, {2.0: 0.4, 0.2: 0.2}) + np.float32(draw(rng, config.grass))
    holes = plain(view, dry)
    blend(holes, np.clip(lush * 255, 0, 255).astype(np.uint8), green)
    size = max(int(np.ceil(width / view.metres_per_pixel)), 4)
    cells = np.tile(_hole(rng, size), (cells_in_view(view, width),) * 2)
    angle = axis + chance(rng, 0.4) * np.pi / 4
    blend(image, lay_pattern(rng, view, cells, width / size, angle), holes)
    tufts = octaves(rng, view, {1.5: 0.5, 0.3: 0.3, 0.04: 0.5}) - np.float32(rng.uniform(0.8, 2.2))
    blend(image, np.clip(tufts * 255, 0, 220).astype(np.uint8), green * 0.9)
    return image


def _hole(rng: np.random.Generator, size: int) -> np.ndarray:
    """A square, hexagonal or round hole in a paver of a size in pixels."""
    radius, sides = rng.uniform(0.28, 0.44) * size, int(rng.choice([4, 6, 24]))
    angles = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    outline = (size - 1) / 2 + radius * np.stack([np.cos(angles), np.sin(angles)], -1)
    hole = np.zeros((size, size), np.uint8)
    cv2.fillPoly(hole, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return hole


# How each kind is drawn, amplitude of its grain, range of its gloss.
_KINDS = {
    'asphalt': (_asphalt, 0.09, (0.0, 0.12)),
    'concrete': (_concrete, 0.035, (0.0, 0.45)),
    'epoxy': (_epoxy, 0.012, (0.2, 1.0)),
    'bricks': (_bricks, 0.05, (0.0, 0.06)),
    'grass': (_grass, 0.12, (0.0, 0.0)),
    'gravel': (_gravel, 0.12, (0.0, 0.05)),
}
