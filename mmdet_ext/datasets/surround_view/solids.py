"""Things with height: coloured faces in 3D, how to build them, and where their footprints are.

A thing is built as a :class:`Mesh` in its own frame (metres along, across to the right, up) and put on the
ground as a :class:`Solid` by :func:`place`. Ground frame: see :mod:`~mmdet_ext.datasets.surround_view.view`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import cv2
import numpy as np

Colour = tuple[int, int, int]
"""BGR, 0-255."""

_SKY = np.array([0.1, -0.06, 0.16])  # how much brighter a face is that looks right, down or up
_LEFT = np.array([-1.0, 1.0])  # turns (y, x) into the normal (-y, x)
_PLAIN = 0.9  # brightness of a face to which the sky adds nothing


@dataclass(frozen=True)
class Face:
    """A flat polygon.

    Attributes:
        vertices: Metres in the ground frame, ``(K, 3)``.
        colour: BGR, 0-255, shaded by the face's slope.
        normal: Unit vector outward, ``(3,)``.
    """

    vertices: np.ndarray
    colour: Colour
    normal: np.ndarray


@dataclass(frozen=True)
class Solid:
    """A thing that stands on the ground.

    Attributes:
        kind: What it is, such as ``car`` or ``pillar``.
        faces: In the order in which they are painted: with those left out that look away from the camera,
            later ones hide earlier ones.
        footprint: Convex outline of the ground that it covers, metres, ``(K, 2)``.
        height: Of its top, metres.
    """

    kind: str
    faces: list[Face]
    footprint: np.ndarray
    height: float

    @cached_property
    def vertices(self) -> np.ndarray:
        """Of all faces one after the other, metres, ``(N, 3)``."""
        return np.concatenate([face.vertices for face in self.faces])

    @cached_property
    def spans(self) -> np.ndarray:
        """Where each face's vertices start and end among all, ``(F, 2)``."""
        ends = np.cumsum([len(face.vertices) for face in self.faces])
        return np.stack([np.append(0, ends[:-1]), ends], -1)

    def facing(self, eye: np.ndarray) -> np.ndarray:
        """Which faces look towards an eye ``(3,)`` in metres, ``(F,)``."""
        return ((eye - self.vertices[self.spans[:, 0]]) * self._normals).sum(1) > 0

    @cached_property
    def _normals(self) -> np.ndarray:
        return np.array([face.normal for face in self.faces])


@dataclass(frozen=True)
class Mesh:
    """Faces of a thing in its own frame, in the order in which they are painted.

    Attributes:
        vertices: Of all faces one after the other: along, across, up; ``(N, 3)``.
        counts: How many of them each face has, ``(F,)``.
        insides: A point inside the convex part that each face belongs to, ``(F, 3)``.
        paints: Of each face, a colour or what the palette calls it.
    """

    vertices: np.ndarray
    counts: np.ndarray
    insides: np.ndarray
    paints: tuple[Colour | str, ...]


def mesh(
    polygons: Sequence[np.ndarray],
    paints: Colour | str | Sequence[Colour | str],
    inside: np.ndarray | None = None,
) -> Mesh:
    """The faces of one convex part.

    Args:
        polygons: Along, across, up; each ``(K, 3)``, either way round.
        paints: One for all, or one for each.
        inside: A point inside the part; by default the mean of the vertices.

    Returns:
        The part.
    """
    vertices = np.concatenate(polygons)
    counts = np.array([len(polygon) for polygon in polygons])
    inside = vertices.mean(0) if inside is None else np.asarray(inside, float)
    single = isinstance(paints, str) or isinstance(paints[0], int | np.integer)
    paints = (paints,) * len(polygons) if single else tuple(paints)
    return Mesh(vertices, counts, np.repeat(inside[None], len(polygons), 0), paints)


def join(parts: Sequence[Mesh]) -> Mesh:
    """Several parts as one mesh; later ones are painted over earlier ones."""
    return Mesh(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.counts for part in parts]),
        np.concatenate([part.insides for part in parts]),
        sum((part.paints for part in parts), ()),
    )


def loft(rings: Sequence[np.ndarray], paints: Sequence[Colour | str]) -> Mesh:
    """A convex part between outlines above one another.

    Args:
        rings: From bottom to top, each ``(K, 3)``.
        paints: Of the sides between each ring and the next, then of the top.

    Returns:
        K sides for each step, then the top.
    """
    polygons, colours = [], []
    for (lower, upper), paint in zip(pairwise(rings), paints[:-1], strict=True):
        ahead = np.arange(1, len(lower) + 1) % len(lower)
        polygons += list(np.stack([lower, lower[ahead], upper[ahead], upper], 1))
        colours += [paint] * len(lower)
    return mesh([*polygons, rings[-1]], [*colours, paints[-1]], np.concatenate(rings).mean(0))


def prism(
    outline: np.ndarray,
    bottom: float,
    top: float,
    paint: Colour | str,
    cap: Colour | str | None = None,
    taper: float = 1.0,
) -> Mesh:
    """An upright prism, or a frustum.

    Args:
        outline: Convex, along and across, ``(K, 2)``.
        bottom: Height of its bottom, metres.
        top: Height of its top.
        paint: Of its sides.
        cap: Of its top; by default as the sides.
        taper: Size of the top as a part of the bottom's.

    Returns:
        K sides, then the top.
    """
    middle = outline.mean(0)
    rings = at_height(outline, bottom), at_height(middle + taper * (outline - middle), top)
    return loft(rings, [paint, paint if cap is None else cap])


def at_height(outline: np.ndarray, height: float) -> np.ndarray:
    """An outline ``(K, 2)`` at a height, ``(K, 3)``."""
    return np.concatenate([outline, np.full((len(outline), 1), height)], 1)


def rectangle(length: float, width: float, at: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """An outline of a length along and a width across around a point, metres, ``(4, 2)``."""
    half = np.array([length, width]) / 2
    return np.array([[1, -1], [1, 1], [-1, 1], [-1, -1]]) * half + at


def disc(radius: float, sides: int = 10, at: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """A regular polygon around a point, metres, ``(sides, 2)``."""
    angles = np.arange(sides) * (2 * np.pi / sides)
    return np.stack([np.cos(angles), np.sin(angles)], 1) * radius + at


def place(
    part: Mesh,
    kind: str,
    centre: np.ndarray,
    heading: np.ndarray,
    palette: Mapping[str, Colour] | None = None,
    size: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Solid:
    """Put a mesh on the ground.

    Args:
        part: What to place.
        kind: What it is.
        centre: Where its origin comes to lie, metres, ``(2,)``.
        heading: Unit vector of its along axis, ``(2,)``.
        palette: The colours that its paints name.
        size: Factors of its length, width and height.

    Returns:
        The thing, its faces shaded by their slope.
    """
    axes = np.array([[*heading, 0], [-heading[1], heading[0], 0], [0, 0, 1]])
    axes, origin = axes * np.array(size)[:, None], np.array([*centre, 0.0])
    vertices = part.vertices @ axes + origin
    normals = _normals(vertices, part.counts, part.insides @ axes + origin)
    paints = [palette[paint] if isinstance(paint, str) else paint for paint in part.paints]
    colours = np.array(paints) * (_PLAIN + normals @ _SKY)[:, None]
    colours = np.clip(colours + 0.5, 0, 255).astype(int).tolist()
    stops = np.cumsum(part.counts)
    faces = [
        Face(vertices[stop - count : stop], tuple(colour), normal)
        for stop, count, colour, normal in zip(
            stops.tolist(), part.counts.tolist(), colours, normals, strict=True
        )
    ]
    return Solid(kind, faces, hull(vertices[:, :2]), float(vertices[:, 2].max()))


def _normals(vertices: np.ndarray, counts: np.ndarray, insides: np.ndarray) -> np.ndarray:
    """Unit normals of faces, away from the points inside, ``(F, 3)``: Newell's method."""
    starts = np.cumsum(counts) - counts
    following = np.arange(1, len(vertices) + 1)
    following[starts + counts - 1] = starts
    a, b = vertices, vertices[following]
    products = a[:, [1, 2, 0]] * b[:, [2, 0, 1]] - a[:, [2, 0, 1]] * b[:, [1, 2, 0]]
    normals = np.add.reduceat(products, starts)
    outward = np.add.reduceat(vertices, starts) / counts[:, None] - insides
    normals *= np.where((normals * outward).sum(1) < 0, -1, 1)[:, None]
    return normals / np.maximum(np.linalg.norm(normals, axis=1), 1e-12)[:, None]


def hull(points: np.ndarray) -> np.ndarray:
    """Convex hull of points on the ground.

    Args:
        points: Metres, ``(N, 2)``.

    Returns:
        Metres, ``(K, 2)``, in the sense in which edges ``e`` have the outward normal ``(-e_y, e_x)``.
    """
    return cv2.convexHull(points.astype(np.float32), clockwise=True)[:, 0].astype(float)


def beyond_edges(outline: np.ndarray, points: np.ndarray) -> np.ndarray:
    """How far points are outside each edge of a hull, negative inside.

    Args:
        outline: Convex, as :func:`hull` returns it, metres, ``(K, 2)``.
        points: Metres, ``(N, 2)``.

    Returns:
        Metres, ``(N, K)``; the largest of a row is at most the point's distance from the outline.
    """
    edges = outline[np.arange(1, len(outline) + 1) % len(outline)] - outline
    normals = edges[:, ::-1] * _LEFT / np.maximum(np.hypot(*edges.T), 1e-9)[:, None]
    return points @ normals.T - (outline * normals).sum(1)


def separation(first: np.ndarray, second: np.ndarray) -> float:
    """How far apart two hulls are along the normals of their edges.

    Args:
        first: Convex, as :func:`hull` returns it, metres, ``(K, 2)``.
        second: Likewise, ``(M, 2)``.

    Returns:
        Metres: negative if they overlap (the least shift that would part them), otherwise at most their
        distance.
    """
    return max(
        beyond_edges(first, second).min(0).max(),
        beyond_edges(second, first).min(0).max(),
    )
