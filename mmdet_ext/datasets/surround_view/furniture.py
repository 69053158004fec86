"""What stands in car parks besides cars: people, carts, pillars, wheel stops, barriers, hedges.

Every builder takes the source of randomness, a centre in metres ``(2,)`` and a heading, a unit vector ``(2,)``,
which is the thing's own long or forward axis.
"""

from itertools import pairwise

import numpy as np

from mmdet_ext.datasets.surround_view.ranges import chance
from mmdet_ext.datasets.surround_view.solids import (
    Colour,
    Mesh,
    Solid,
    at_height,
    disc,
    join,
    loft,
    mesh,
    place,
    prism,
    rectangle,
)

_BLACK, _WHITE, _STEEL, _STONE = (28, 28, 30), (225, 226, 226), (176, 178, 178), (128, 130, 132)
_YELLOW, _RED, _ORANGE, _BLUE = (40, 190, 228), (42, 38, 196), (30, 96, 228), (150, 84, 40)
_CLOTHES = (
    (40, 38, 36),
    (70, 60, 55),
    (150, 120, 80),
    (60, 60, 170),
    (200, 200, 198),
    (60, 110, 80),
)


def _tone(rng: np.random.Generator, colour: Colour, spread: float = 0.2) -> Colour:
    factor = rng.uniform(1 - spread, 1 + spread)
    return tuple(min(int(channel * factor), 255) for channel in colour)


def _pick(rng: np.random.Generator, *colours: Colour) -> Colour:
    return _tone(rng, colours[rng.integers(len(colours))])


def person(rng: np.random.Generator, centre: np.ndarray, heading: np.ndarray) -> Solid:
    """A standing or walking person."""
    tall, stride = rng.uniform(1.5, 1.9), rng.uniform(0, 0.3)
    trousers, coat, skin = _pick(rng, *_CLOTHES), _pick(rng, *_CLOTHES), _tone(rng, (110, 140, 190))
    legs = [
        prism(rectangle(0.15, 0.14, (step, side)), 0.06, 0.48 * tall, trousers)
        for step, side in ((stride / 2, -0.1), (-stride / 2, 0.1))
    ]
    shoes = [
        prism(rectangle(0.27, 0.11, (step + 0.05, side)), 0, 0.08, _BLACK)
        for step, side in ((stride / 2, -0.1), (-stride / 2, 0.1))
    ]
    trunk = prism(rectangle(0.24, 0.4), 0.46 * tall, 0.84 * tall, coat, taper=1.1)
    arms = [
        prism(disc(0.055, 6, (0, side)), 0.44 * tall, 0.8 * tall, coat) for side in (-0.27, 0.27)
    ]
    head = prism(disc(0.1, 8), 0.86 * tall, tall, skin, _BLACK)
    return place(join([*shoes, *legs, trunk, *arms, head]), 'person', centre, heading)


def cart(rng: np.random.Generator, centre: np.ndarray, heading: np.ndarray) -> Solid:
    """A shopping trolley: wheels, frame, basket and handle."""
    steel, handle = _tone(rng, _STEEL), _pick(rng, _RED, _BLUE, _BLACK)
    wheels = [
        prism(rectangle(0.12, 0.04, (along, across)), 0, 0.12, _BLACK)
        for along in (-0.35, 0.35)
        for across in (-0.22, 0.22)
    ]
    legs = [
        prism(rectangle(0.03, 0.03, (along, across)), 0.12, 0.5, steel)
        for along in (-0.35, 0.25)
        for across in (-0.22, 0.22)
    ]
    frame = prism(rectangle(0.8, 0.46), 0.14, 0.18, steel)
    basket = prism(rectangle(0.7, 0.4, (0.05, 0)), 0.48, 0.92, steel, _tone(rng, (60, 60, 60)), 1.2)
    bar = prism(rectangle(0.05, 0.52, (-0.42, 0)), 0.96, 1.01, handle)
    return place(join([*wheels, frame, *legs, basket, bar]), 'cart', centre, heading)


def traffic_cone(rng: np.random.Generator, centre: np.ndarray, heading: np.ndarray) -> Solid:
    """A cone with a reflecting band on a square base."""
    tall, radius = rng.uniform(0.35, 0.75), rng.uniform(0.1, 0.16)
    paint = _pick(rng, _ORANGE, _ORANGE, _RED)
    heights = np.array([0.04, 0.4, 0.65, 1]) * tall
    rings = [at_height(disc(radius * (1.1 - h / tall)), h) for h in heights]
    base = prism(rectangle(2.5 * radius, 2.5 * radius), 0, 0.04, _pick(rng, _BLACK, paint))
    cone = loft(rings, [paint, _WHITE, paint, paint])
    return place(join([base, cone]), 'traffic_cone', centre, heading)


def _banded(outline: np.ndarray, stops: np.ndarray, colours: list[Colour]) -> Mesh:
    rings = [at_height(outline, stop) for stop in stops]
    return loft(rings, [colours[i % len(colours)] for i in range(len(rings))])


def bollard(rng: np.random.Generator, centre: np.ndarray, heading: np.ndarray) -> Solid:
    """A post with bands, or of plain steel."""
    tall, radius = rng.uniform(0.5, 1.0), rng.uniform(0.04, 0.11)
    schemes = ([_YELLOW, _BLACK], [_RED, _WHITE], [_STEEL], [_STEEL, _YELLOW])
    scheme = [_tone(rng, colour) for colour in schemes[rng.integers(len(schemes))]]
    stops = np.linspace(0, tall, rng.integers(3, 6))
    return place(_banded(disc(radius, 8), stops, scheme), 'bollard', centre, heading)


def pillar(rng: np.random.Generator, centre: np.ndarray, heading: np.ndarray, side: float) -> Solid:
    """A square or round pillar; its lower part is often banded or its edges guarded.

    Args:
        rng: Source of randomness.
        centre: Metres, ``(2,)``.
        heading: Unit vector, ``(2,)``.
        side: Side or diameter, metres.

    Returns:
        The pillar, 2.6 metres high.
    """
    is_round = chance(rng, 0.2)
    outline = disc(side / 2, 12) if is_round else rectangle(side, side * rng.uniform(0.7, 1))
    wall = _pick(rng, _WHITE, _WHITE, (190, 196, 200), (160, 190, 130))
    base = _pick(rng, (70, 70, 72), (110, 150, 70), (60, 60, 190), wall)
    if chance(rng, 0.35):
        stops = np.append(np.linspace(0, rng.uniform(0.8, 1.3), rng.integers(4, 7)), 2.6)
        stripes = [_tone(rng, _YELLOW), _BLACK] if chance(rng, 0.8) else [_RED, _WHITE]
        colours = [stripes[i % 2] for i in range(len(stops) - 2)] + [wall, wall]
        return place(_banded(outline, stops, colours), 'pillar', centre, heading)
    stops = np.array([0, rng.uniform(0.1, 0.6), 2.6])
    body = _banded(outline, stops, [base, wall, wall])
    if is_round or chance(rng, 0.4):
        return place(body, 'pillar', centre, heading)
    return place(join([body, _guards(outline)]), 'pillar', centre, heading)


def _guards(outline: np.ndarray) -> Mesh:
    """Black and yellow strips along the edges of a square pillar."""
    stops = np.linspace(0.05, 1.2, 5)
    polygons, paints = [], []
    for start, end in zip(outline, np.roll(outline, -1, 0), strict=True):
        reach = 0.08 * (end - start) / np.linalg.norm(end - start)
        for left, right in ((start, start + reach), (end - reach, end)):
            for i, (low, high) in enumerate(pairwise(stops)):
                polygons.append(
                    np.array([[*left, low], [*right, low], [*right, high], [*left, high]])
                )
                paints.append(_YELLOW if i % 2 else _BLACK)
    return mesh(polygons, paints, np.array([*outline.mean(0), 0.6]))


def wheel_stop(
    rng: np.random.Generator, centre: np.ndarray, heading: np.ndarray, length: float, striped: bool
) -> Solid:
    """A low bar that stops wheels.

    Args:
        rng: Source of randomness.
        centre: Metres, ``(2,)``.
        heading: Unit vector along the bar, ``(2,)``.
        length: Metres.
        striped: Whether it is yellow and black, not plain.

    Returns:
        The bar.
    """
    tall, width = rng.uniform(0.09, 0.15), rng.uniform(0.11, 0.17)
    paints = [_tone(rng, _YELLOW), _BLACK] if striped else [_pick(rng, _STONE, _BLACK, _YELLOW)]
    edges = np.linspace(-0.5, 0.5, 2 * max(round(length / 0.3), 1) + 2 if striped else 2) * length
    profile = np.array([(-0.5, 0), (-0.3, 1), (0.3, 1), (0.5, 0)]) * [width, tall]
    ends = [np.column_stack([np.full(4, edge), profile]) for edge in edges]
    polygons, colours = [ends[0], ends[-1]], [paints[0], paints[-1]]
    for i, (near, far) in enumerate(pairwise(ends)):
        polygons += [np.stack([near[k], far[k], far[k + 1], near[k + 1]]) for k in range(3)]
        colours += [paints[i % len(paints)]] * 3
    return place(mesh(polygons, colours), 'wheel_stop', centre, heading)


def floor_lock(rng: np.random.Generator, centre: np.ndarray, heading: np.ndarray) -> Solid:
    """A folding parking barrier, lowered, or raised as a panel or as an arch."""
    steel, sign = _tone(rng, _STEEL), _pick(rng, _BLUE, _RED, _YELLOW)
    base = prism(rectangle(0.4, 0.5), 0, 0.06, _pick(rng, _STEEL, _BLACK, _YELLOW))
    kind = rng.integers(3)
    if kind == 0:
        return place(base, 'floor_lock', centre, heading)
    top = rng.uniform(0.3, 0.75)
    if kind == 1:
        arms = [prism(rectangle(0.05, 0.05, (0, side)), 0.06, top, sign) for side in (-0.2, 0.2)]
        bar = prism(rectangle(0.06, 0.45), top - 0.06, top, sign)
        return place(join([base, *arms, bar]), 'floor_lock', centre, heading)
    panel = prism(rectangle(0.06, 0.42), 0.04, top, steel, taper=0.9)
    circle = disc(0.11, 8, (0, 0.55 * top))
    badges = [np.column_stack([np.full(8, face), circle]) for face in (0.029, -0.029)]
    return place(
        join([base, panel, mesh(badges, sign, np.array([0, 0, 0.5 * top]))]),
        'floor_lock',
        centre,
        heading,
    )


def kerb(rng: np.random.Generator, centre: np.ndarray, heading: np.ndarray, length: float) -> Solid:
    """A low stone edge of a length along its heading, metres."""
    outline = rectangle(length, rng.uniform(0.1, 0.3))
    return place(
        prism(outline, 0, rng.uniform(0.1, 0.2), _tone(rng, _STONE)), 'kerb', centre, heading
    )


def wall(rng: np.random.Generator, centre: np.ndarray, heading: np.ndarray, length: float) -> Solid:
    """A wall of a length along its heading, metres; its foot may have another colour."""
    paint = _pick(rng, _WHITE, _STONE, (170, 180, 190), (120, 150, 190))
    stops = np.array([0, rng.uniform(0.1, 1.0), 2.5])
    foot = paint if chance(rng, 0.5) else _pick(rng, (70, 70, 72), (110, 150, 70), _YELLOW)
    outline = rectangle(length, 0.2)
    return place(_banded(outline, stops, [foot, paint, paint]), 'wall', centre, heading)


def planter(
    rng: np.random.Generator, centre: np.ndarray, heading: np.ndarray, length: float, width: float
) -> Solid:
    """A bed with a stone edge and a hedge.

    Args:
        rng: Source of randomness.
        centre: Metres, ``(2,)``.
        heading: Unit vector, ``(2,)``.
        length: Along the heading, metres.
        width: Metres.

    Returns:
        The bed.
    """
    edge, tall = rng.uniform(0.12, 0.4), rng.uniform(0.1, 0.6)
    green = _pick(rng, (38, 78, 62), (40, 92, 86), (52, 74, 84))
    bed = prism(rectangle(length, width), 0, edge, _tone(rng, _STONE), _tone(rng, (52, 66, 80)))
    across = max(width - 0.25, 0.5 * width)
    count = min(max(round(length / 0.35), 1), 12)
    step = (length - 0.2) / count
    bushes = [
        prism(
            rectangle(1.1 * step, across, (step * (i + 0.5 - count / 2), rng.normal(0, 0.03))),
            edge,
            edge + tall * rng.uniform(0.75, 1.1),
            _tone(rng, green, 0.3),
            _tone(rng, green, 0.3),
            taper=0.85,
        )
        for i in range(count)
    ]
    return place(join([bed, *bushes]), 'planter', centre, heading)
