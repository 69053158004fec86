"""Lines of paint as polygons: straight, bent, dashed, and the arc of a U. Metres throughout."""

import numpy as np

from mmdet_ext.structures.marking_points import rotate_quarter, unit


def stroke(start: np.ndarray, end: np.ndarray, width: float, cap: float = 0.0) -> np.ndarray:
    """A straight line of paint as a rectangle.

    Args:
        start: One end of its centre line, ``(2,)``.
        end: The other end, ``(2,)``.
        width: Width of the line.
        cap: How far the paint goes on past both ends.

    Returns:
        Shape ``(4, 2)``.
    """
    along = unit(end - start)
    side = rotate_quarter(along) * width / 2
    start, end = start - along * cap, end + along * cap
    return np.stack([start - side, end - side, end + side, start + side])


def offset_line(points: np.ndarray, distance: float) -> np.ndarray:
    """A bent line shifted sideways, parallel to itself.

    Args:
        points: Its vertices, ``(K, 2)``.
        distance: How far; positive to the right of someone who walks along it, seen on screen.

    Returns:
        Shape ``(K, 2)``.
    """
    sides = rotate_quarter(unit(np.diff(points, axis=0)))
    before, after = np.concatenate([sides[:1], sides]), np.concatenate([sides, sides[-1:]])
    middle = unit(before + after)
    return points + middle * (distance / (middle * before).sum(-1, keepdims=True))


def extend_line(points: np.ndarray, left: float, right: float) -> np.ndarray:
    """A bent line made longer at its two ends.

    Args:
        points: Its vertices, ``(K, 2)``.
        left: How far its first end goes on; negative shortens it.
        right: How far its last end goes on.

    Returns:
        Shape ``(K, 2)``.
    """
    longer = np.array(points, float)
    longer[0] -= unit(points[1] - points[0]) * left
    longer[-1] += unit(points[-1] - points[-2]) * right
    return longer


def ribbon(points: np.ndarray, width: float, cap: float = 0.0) -> np.ndarray:
    """A bent line of paint with mitred corners.

    Args:
        points: Vertices of its centre line, ``(K, 2)``.
        width: Width of the line.
        cap: How far the paint goes on past both ends.

    Returns:
        Shape ``(2 K, 2)``.
    """
    points = extend_line(points, cap, cap)
    return np.concatenate([offset_line(points, -width / 2), offset_line(points, width / 2)[::-1]])


def dashes(start: np.ndarray, end: np.ndarray, width: float, spans: np.ndarray) -> list[np.ndarray]:
    """Pieces of a straight line.

    Args:
        start: Where distances count from, ``(2,)``.
        end: The other end of the line, ``(2,)``.
        width: Width of the line.
        spans: Where each piece begins and ends, metres from ``start``, ``(M, 2)``.

    Returns:
        Polygons ``(4, 2)``.
    """
    along = unit(end - start)
    return [stroke(start + along * a, start + along * b, width) for a, b in spans]


def spans_from_both_ends(length: float, dash: float) -> np.ndarray:
    """Evenly spaced dashes of which both the first and the last are halved by the line's ends.

    Args:
        length: Length of the line.
        dash: Length of a whole dash; the spaces are about as long.

    Returns:
        Begin and end of each dash, ``(M, 2)``.
    """
    middles = np.linspace(0, length, max(1, round(length / (2 * dash))) + 1)
    half = min(dash, 0.7 * middles[1]) / 2
    return np.clip(np.stack([middles - half, middles + half], -1), 0, length)


def spans_from_start(length: float, dash: float) -> np.ndarray:
    """Dashes from the start of a line on, spaces as long as the dashes.

    Args:
        length: Length of the line.
        dash: Length of a dash; 0 gives one that is as long as the line.

    Returns:
        Begin and end of each dash, ``(M, 2)``.
    """
    starts = np.arange(0, length, 2 * dash) if dash > 0 else np.zeros(1)
    ends = starts + dash if dash > 0 else np.array([length])
    return np.stack([starts, np.minimum(ends, length)], -1)


def half_ring(centre: np.ndarray, apex: np.ndarray, radius: float, width: float) -> np.ndarray:
    """The round end of a U.

    Args:
        centre: Of the arc, ``(2,)``.
        apex: Unit vector from the centre to the middle of the arc, ``(2,)``.
        radius: Of the arc's centre line.
        width: Width of the line.

    Returns:
        Shape ``(K, 2)``.
    """
    turn = np.linspace(0, np.pi, 13)[:, None]
    rim = np.cos(turn) * rotate_quarter(apex) + np.sin(turn) * apex
    return np.concatenate(
        [centre + rim * (radius + width / 2), centre + rim[::-1] * (radius - width / 2)]
    )
