"""Cars as faces in 3D.

A surround view looks at them from the height of a bumper or a mirror and smears them outward, so that their
fronts, rears and sides are what is seen.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from mmdet_ext.datasets.surround_view.ranges import Range, chance, draw
from mmdet_ext.datasets.surround_view.solids import Colour, Mesh, Solid, join, loft, mesh, place

_PLAN = np.array([(1, 0.5), (0.965, 0.8), (0.87, 0.97), (-0.9, 0.98), (-0.975, 0.84), (-1, 0.55)])
"""Right half of the plan from nose to tail, in halves of length and width."""

_SILL, _BUMPER = 0.13, 0.35  # heights as parts of the car's: underside and top of the bumpers
_WHEELS = 0.62  # axles ahead of and behind the middle, in halves of the length

_FRONT, _RIGHT_NOSE, _REAR, _LEFT_NOSE, _RIGHT_TAIL, _LEFT_TAIL = 11, 0, 5, 10, 4, 6
"""Which side of the body, in the order of its outline, is which."""


@dataclass(frozen=True)
class CarStyle:
    """Proportions of a kind of car.

    Attributes:
        length: Metres.
        width: Metres.
        height: Metres.
        nose: Height of the bonnet's edge as a part of the car's.
        waist: Likewise, of the lower edge of the windows.
        tail: Likewise, of the boot's edge.
        cabin: Lower and upper edge of the windscreen, upper and lower edge of the rear window, in halves of
            the length ahead of the middle.
    """

    length: Range
    width: Range
    height: Range
    nose: float
    waist: float
    tail: float
    cabin: tuple[float, float, float, float]


STYLES = {
    'sedan': CarStyle(
        (4.4, 5.1), (1.74, 1.9), (1.4, 1.5), 0.51, 0.63, 0.68, (0.42, 0.06, -0.5, -0.76)
    ),
    'hatchback': CarStyle(
        (3.5, 4.35), (1.6, 1.82), (1.45, 1.6), 0.5, 0.62, 0.66, (0.52, 0.18, -0.78, -0.96)
    ),
    'suv': CarStyle(
        (4.3, 5.0), (1.8, 1.98), (1.6, 1.85), 0.55, 0.62, 0.64, (0.46, 0.16, -0.8, -0.95)
    ),
    'van': CarStyle(
        (4.4, 5.2), (1.7, 1.98), (1.75, 2.0), 0.47, 0.55, 0.56, (0.84, 0.5, -0.92, -0.97)
    ),
    'pickup': CarStyle(
        (4.9, 5.2), (1.8, 1.95), (1.7, 1.85), 0.55, 0.6, 0.57, (0.42, 0.14, -0.14, -0.24)
    ),
}
"""Kinds of cars."""

_BODIES = {
    (232, 234, 234): 0.34,
    (178, 180, 182): 0.14,
    (38, 38, 40): 0.2,
    (96, 98, 102): 0.12,
    (38, 34, 150): 0.06,
    (130, 78, 32): 0.06,
    (66, 82, 96): 0.04,
    (96, 128, 142): 0.04,
}
_PLATES = {(196, 96, 28): 0.7, (236, 236, 236): 0.12, (60, 190, 235): 0.1, (150, 205, 130): 0.08}
_DARK, _GLASS, _CHROME, _CLOTH = (22, 22, 23), (48, 44, 40), (196, 198, 198), (150, 150, 152)


def car(
    rng: np.random.Generator,
    centre: np.ndarray,
    heading: np.ndarray,
    style: str,
    length: float,
    width: float,
    covered: bool = False,
) -> Solid:
    """A car.

    Args:
        rng: Source of randomness: colours, trim and height.
        centre: Metres, ``(2,)``.
        heading: Unit vector, ``(2,)``.
        style: One of ``STYLES``.
        length: Metres.
        width: Metres.
        covered: Whether a cloth is drawn over it.

    Returns:
        The car.
    """
    size = length / 2, width / 2, draw(rng, STYLES[style].height)
    palette = _cloth(rng) if covered else _trim(rng)
    return place(_template(style), 'car', centre, heading, palette, size)


def _pick(rng: np.random.Generator, shares: dict[Colour, float]) -> Colour:
    weights = np.array(list(shares.values()))
    return list(shares)[rng.choice(len(weights), p=weights / weights.sum())]


def _scaled(colour: Colour, factor: float) -> Colour:
    return tuple(min(int(channel * factor), 255) for channel in colour)


def _trim(rng: np.random.Generator) -> dict[str, Colour]:
    """Colours of the parts of a car; a part may have its surroundings' colour and so be absent."""
    body = _scaled(_pick(rng, _BODIES), rng.uniform(0.8, 1.12))
    grille = _DARK if chance(rng, 0.75) else body
    return {
        'body': body,
        'glass': _scaled(_GLASS, rng.uniform(0.7, 1.8)),
        'under': _scaled(_DARK, rng.uniform(0.4, 0.9)),
        'trim': _DARK if chance(rng, 0.6) else _scaled(body, 0.8),
        'grille': grille,
        'slat': _CHROME if chance(rng, 0.5) else grille,
        'lamp': (228, 226, 220) if chance(rng, 0.7) else (90, 88, 86),
        'tail lamp': (38, 30, 165) if chance(rng, 0.8) else (60, 50, 110),
        'plate': _scaled(_pick(rng, _PLATES), rng.uniform(0.85, 1.1)),
        'sign': (225, 225, 220),
        'tyre': _scaled(_DARK, rng.uniform(0.9, 1.6)),
        'rim': _scaled(_CHROME, rng.uniform(0.45, 0.95)),
    }


def _cloth(rng: np.random.Generator) -> dict[str, Colour]:
    cloth = _scaled(_CLOTH, rng.uniform(0.6, 1.2))
    parts = ['body', 'glass', 'trim', 'grille', 'slat', 'lamp', 'sign', 'tyre', 'rim']
    return dict.fromkeys(parts, cloth) | {
        'tail lamp': _scaled(cloth, 0.9),
        'under': _DARK,
        'plate': _DARK,
    }


@cache
def _template(style: str) -> Mesh:
    """A car in halves of its length and width and parts of its height."""
    proportions = STYLES[style]
    body = _body(proportions)
    sides = body.vertices[: 2 * 12 * 4].reshape(2, 12, 4, 3)  # bumper and shoulder, right way round
    inside = body.insides[0]
    patches = [*_front(sides), *_rear(sides)]
    trim = mesh([p for p, _ in patches], [paint for _, paint in patches], inside)
    return join([_skirt(), body, trim, *_wheels(proportions), _cabin(proportions)])


def _ring(heights: np.ndarray | float, inset: float) -> np.ndarray:
    """The plan at heights, the right half's applied to both, ``(12, 3)``."""
    half = np.column_stack([_PLAN * inset, np.broadcast_to(heights, 6)])
    return np.concatenate([half, half[::-1] * [1, -1, 1]])


def _body(proportions: CarStyle) -> Mesh:
    nose, waist, tail = proportions.nose, proportions.waist, proportions.tail
    shoulder = np.array([nose, nose, (nose + waist) / 2, (tail + waist) / 2, tail, tail])
    rings = _ring(_SILL, 0.965), _ring(_BUMPER, 1.0), _ring(shoulder, 0.945)
    return loft(rings, ['body', 'body', 'body'])


def _skirt() -> Mesh:
    """What is dark between the ground and the underside."""
    return loft([_ring(0.0, 0.9), _ring(_SILL, 0.955)], ['under', 'under'])


def _cabin(proportions: CarStyle) -> Mesh:
    front, roof_front, roof_rear, rear = proportions.cabin
    low = np.array([(front, 0.82), (rear, 0.82), (rear, -0.82), (front, -0.82)])
    high = np.array(
        [(roof_front, 0.66), (roof_rear, 0.66), (roof_rear, -0.66), (roof_front, -0.66)]
    )
    rings = [
        np.column_stack([low, np.full(4, proportions.waist)]),
        np.column_stack([high, np.ones(4)]),
    ]
    return loft(rings, ['glass', 'body'])


def _on(quad: np.ndarray, across: tuple[float, float], up: tuple[float, float]) -> np.ndarray:
    """A part of a quadrilateral, bounds as parts of its width and height, ``(4, 3)``."""
    u = np.array([across[0], across[1], across[1], across[0]])[:, None]
    v = np.array([up[0], up[0], up[1], up[1]])[:, None]
    lower, upper = quad[0] * (1 - u) + quad[1] * u, quad[3] * (1 - u) + quad[2] * u
    return lower * (1 - v) + upper * v


def _front(sides: np.ndarray) -> list[tuple[np.ndarray, str]]:
    """Air intake, grille with slats, plate and headlights."""
    low, high = sides
    slats = [
        (_on(high[_FRONT], (0.08, 0.92), (v, v + 0.09)), 'slat') for v in (0.12, 0.36, 0.6, 0.8)
    ]
    return [
        (_on(low[_FRONT], (0.06, 0.94), (0.12, 0.5)), 'trim'),
        (_on(low[_RIGHT_NOSE], (0.2, 0.8), (0.15, 0.6)), 'trim'),
        (_on(low[_LEFT_NOSE], (0.2, 0.8), (0.15, 0.6)), 'trim'),
        (_on(high[_FRONT], (0.03, 0.97), (0.02, 0.9)), 'grille'),
        *slats,
        *_plate(low[_FRONT]),
        *(
            (_on(high[side], (start, stop), (0.3, 0.85)), 'lamp')
            for side, start, stop in (
                (_RIGHT_NOSE, 0, 1),
                (_RIGHT_NOSE + 1, 0, 0.6),
                (_LEFT_NOSE, 0, 1),
                (_LEFT_NOSE - 1, 0.4, 1),
            )
        ),
    ]


def _rear(sides: np.ndarray) -> list[tuple[np.ndarray, str]]:
    """Dark lower bumper, plate and tail lights."""
    low, high = sides
    return [
        (_on(low[_REAR], (0, 1), (0, 0.4)), 'trim'),
        (_on(low[_RIGHT_TAIL], (0, 1), (0, 0.4)), 'trim'),
        (_on(low[_LEFT_TAIL], (0, 1), (0, 0.4)), 'trim'),
        *_plate(high[_REAR]),
        (_on(high[_RIGHT_TAIL], (0, 1), (0.3, 0.8)), 'tail lamp'),
        (_on(high[_LEFT_TAIL], (0, 1), (0.3, 0.8)), 'tail lamp'),
    ]


def _plate(quad: np.ndarray) -> list[tuple[np.ndarray, str]]:
    """A number plate with a hint of its characters."""
    return [
        (_on(quad, (0.28, 0.72), (0.5, 0.92)), 'plate'),
        (_on(quad, (0.33, 0.67), (0.66, 0.74)), 'sign'),
    ]


def _wheels(proportions: CarStyle) -> list[Mesh]:
    """Dark arches, tyres and rims, flat on the sides."""
    round_along = np.mean(proportions.length) / 2, np.mean(proportions.height)
    angles = np.linspace(0, 2 * np.pi, 10, endpoint=False) + np.pi / 10
    circle = np.stack([np.cos(angles), np.zeros(10), np.sin(angles)], 1)
    radius = 0.33
    wheels = []
    for side in (-1, 1):
        for axle in (-_WHEELS, _WHEELS):
            hub = np.array([axle, 0.985 * side, radius / round_along[1]])
            discs = [
                np.maximum(hub + circle * reach / [round_along[0], 1, round_along[1]], [-9, -9, 0])
                for reach in (1.2 * radius, radius, 0.68 * radius)
            ]
            wheels.append(mesh(discs, ['under', 'tyre', 'rim'], hub * [1, 0.5, 1]))
    return wheels
