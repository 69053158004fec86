"""Marking points: the painted junctions that parking slots hang on.

Image frame: x right, y down, in pixels. A direction is a unit vector ``(dx, dy)``:

- T, I, U: the separating line's, pointing into the slots.
- L: of its two arms the one that, turned clockwise on screen, meets the other one first
  (at a slot's left end that is the separating line, at its right end the entrance line).
"""

import numpy as np

SHAPES = ('T', 'L', 'I', 'U', 'other')
"""Shapes of a marking point, in the order of their labels; -1 stands for unknown."""

L_SHAPE = SHAPES.index('L')


def rotate_quarter(directions: np.ndarray) -> np.ndarray:
    """Turn unit vectors by 90 degrees clockwise on screen: an L's first arm onto its second.

    Args:
        directions: Shape ``(..., 2)``.

    Returns:
        Shape ``(..., 2)``.
    """
    return np.stack([-directions[..., 1], directions[..., 0]], axis=-1)


def order_arms(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put the two arms of L marks in order: the second lies clockwise of the first on screen.

    Args:
        first: One arm of each mark as a unit vector, shape ``(..., 2)``.
        second: The other arm, shape ``(..., 2)``.

    Returns:
        The direction of each mark (its first arm) and its second arm, each ``(..., 2)``.
    """
    clockwise = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0] >= 0
    clockwise = clockwise[..., None]
    return np.where(clockwise, first, second), np.where(clockwise, second, first)


def transform_directions(
    directions: np.ndarray,
    second_arms: np.ndarray,
    shapes: np.ndarray,
    matrix: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Carry directions through an affine map of the image.

    A map that mirrors makes the two arms of an L swap roles, because the one is defined as lying
    clockwise of the other; nothing of the kind happens to the symmetric shapes.

    Args:
        directions: Unit vectors, shape ``(N, 2)``.
        second_arms: Second arms of the L marks, shape ``(N, 2)``; other rows are carried along.
        shapes: Labels in :data:`SHAPES`, -1 unknown, shape ``(N,)``.
        matrix: Affine map of pixel coordinates, shape ``(2, 3)`` or ``(3, 3)``.

    Returns:
        Directions and second arms after the map, as unit vectors, each ``(N, 2)``.
    """
    linear = np.asarray(matrix, dtype=np.float64)[:2, :2]
    first, second = unit(directions @ linear.T), unit(second_arms @ linear.T)
    if np.linalg.det(linear) < 0:
        swap = (np.asarray(shapes) == L_SHAPE)[:, None]
        first, second = np.where(swap, second, first), np.where(swap, first, second)
    return first, second


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors to length 1; a zero vector stays zero.

    Args:
        vectors: Shape ``(..., 2)``.

    Returns:
        Shape ``(..., 2)``.
    """
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
