"""Parking slots: quadrilaterals in a fixed corner order.

Image frame: x right, y down, in pixels. Corners ``p1 p2 p3 p4`` run anticlockwise on screen;
``p1 -> p2`` is the entrance: to a driver who drives in, p1 is on the left and p2 on the right.
The separating lines run along a unit vector ``s`` into the slot: ``p3 = p2 + depth * s`` and
``p4 = p1 + depth * s``.

Functions here take NumPy arrays and torch tensors alike unless their annotation says otherwise.
"""

import numpy as np
import torch
from torch import Tensor

FLIPPED_ORDER = (1, 0, 3, 2)
"""Corner order after a mirroring: p1/p2 and p3/p4 swap."""


def separator_direction(entrance: np.ndarray, angle: np.ndarray | float) -> np.ndarray:
    """Direction of the separating lines from the entrance and the interior angle.

    For the unit entrance vector v and interior angle t:
    ``s = (v_x cos t + v_y sin t, -v_x sin t + v_y cos t)``, the convention of ps2.0 (Zhang et al.,
    Vision-based parking-slot detection: a DCNN-based approach and a large-scale benchmark
    dataset, 2018); 90 degrees gives ``(v_y, -v_x)``.

    Args:
        entrance: Vectors p2 - p1 of any length but zero, shape ``(..., 2)``.
        angle: Interior angle at p1 in radians, in (0, pi), shape ``(...)`` or a number.

    Returns:
        Unit vectors, shape ``(..., 2)``.
    """
    vx, vy = np.moveaxis(entrance / np.linalg.norm(entrance, axis=-1, keepdims=True), -1, 0)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([vx * cos + vy * sin, vy * cos - vx * sin], axis=-1)


def interior_angle(corners: np.ndarray) -> np.ndarray:
    """Interior angle at p1, the inverse of :func:`separator_direction`.

    Args:
        corners: Shape ``(..., 4, 2)``.

    Returns:
        Radians in (0, pi) for a well-ordered slot, negative for a reversed one; shape ``(...)``.
    """
    v = corners[..., 1, :] - corners[..., 0, :]
    s = corners[..., 3, :] - corners[..., 0, :]
    cross = v[..., 1] * s[..., 0] - v[..., 0] * s[..., 1]
    return np.arctan2(cross, (v * s).sum(-1))


def assemble_corners(p1: Tensor, p2: Tensor, direction: Tensor, depth: Tensor) -> Tensor:
    """Corners of slots from their entrance, separator direction and depth.

    Args:
        p1: Left entrance corners, shape ``(..., 2)``.
        p2: Right entrance corners, shape ``(..., 2)``.
        direction: Unit vectors into the slot, shape ``(..., 2)``.
        depth: Length of the separating lines in the unit of the corners, shape ``(...)``.

    Returns:
        Shape ``(..., 4, 2)``.
    """
    reach = direction * depth[..., None]
    stack = torch.stack if isinstance(p1, Tensor) else np.stack
    return stack([p1, p2, p2 + reach, p1 + reach], -2)


def separator(corners: Tensor) -> tuple[Tensor, Tensor]:
    """Mean separator direction and depth of slots.

    Args:
        corners: Shape ``(..., 4, 2)``; the two separators may differ (trapezoids).

    Returns:
        Unit direction ``(..., 2)`` (zero where both separators are degenerate) and depth ``(...)``.
    """
    reach = (corners[..., 3, :] - corners[..., 0, :] + corners[..., 2, :] - corners[..., 1, :]) / 2
    depth = (reach**2).sum(-1) ** 0.5
    return reach / (depth + (depth == 0))[..., None], depth


def transform_corners(corners: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Carry slots through an affine map; a mirroring map also restores the corner order.

    Args:
        corners: Shape ``(M, 4, 2)``.
        matrix: Affine map of pixel coordinates, shape ``(2, 3)`` or ``(3, 3)``.

    Returns:
        Shape ``(M, 4, 2)``.
    """
    moved = transform_points(corners, matrix)
    if np.linalg.det(np.asarray(matrix, dtype=np.float64)[:2, :2]) < 0:
        moved = moved[:, FLIPPED_ORDER]
    return moved


def transform_points(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply an affine map to points.

    Args:
        points: Shape ``(..., 2)``.
        matrix: Shape ``(2, 3)`` or ``(3, 3)``.

    Returns:
        Shape ``(..., 2)``.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def clipped_boxes(corners: Tensor, width: int, height: int) -> Tensor:
    """Bounding boxes of the part of each slot that lies inside the image.

    The extreme points of (convex quadrilateral) ∩ (image) are corners inside the image,
    crossings of an edge with a border, or image corners inside the quadrilateral.

    Args:
        corners: Convex quadrilaterals, anticlockwise on screen, shape ``(..., 4, 2)``.
        width: Image width in pixels; the image spans ``[0, width]``.
        height: Image height in pixels.

    Returns:
        Boxes ``x1 y1 x2 y2``, shape ``(..., 4)``; all zero where nothing is inside.
    """
    size = corners.new_tensor([width, height])
    start, edge = corners, corners.roll(-1, -2) - corners
    border = torch.stack([torch.zeros_like(size), size])  # (2 borders, 2 axes)
    step = (border[:, None] - start[..., None, :, :]) / torch.where(edge == 0, 1, edge)[
        ..., None, :, :
    ]
    crossing = start[..., None, :, None, :] + step[..., None] * edge[..., None, :, None, :]
    crosses = (step >= 0) & (step <= 1) & (edge != 0)[..., None, :, :]
    frame = torch.stack(
        [border[[0, 1, 1, 0], [0, 0, 0, 0]], border[[0, 0, 1, 1], [1, 1, 1, 1]]], -1
    )
    to_frame = frame[:, None] - start[..., None, :, :]  # (4 image corners, 4 edges, 2)
    side = edge[..., None, :, 0] * to_frame[..., 1] - edge[..., None, :, 1] * to_frame[..., 0]
    candidates = torch.cat(
        [start, crossing.flatten(-4, -2), frame.expand(*start.shape[:-2], 4, 2)], -2
    )
    valid = torch.cat(
        [
            torch.ones_like(start[..., 0], dtype=torch.bool),
            crosses.flatten(-3),
            (side <= 0).all(-1),
        ],
        -1,
    )
    slack = 1e-3  # rounding of the crossings
    valid &= ((candidates >= -slack) & (candidates <= size + slack)).all(-1)
    far = torch.finfo(corners.dtype).max
    low = torch.where(valid[..., None], candidates, far).amin(-2)
    high = torch.where(valid[..., None], candidates, -far).amax(-2)
    boxes = torch.cat([low, high], -1)
    boxes = torch.where(valid.any(-1, keepdim=True), boxes, 0)
    return boxes.clamp(min=0).minimum(size.repeat(2))


def entrance_distances(corners: Tensor, others: Tensor) -> Tensor:
    """Distance between slots: the larger of the distances p1 to p1 and p2 to p2, in order.

    Args:
        corners: Shape ``(..., M, 4, 2)``.
        others: Shape ``(..., N, 4, 2)``.

    Returns:
        Shape ``(..., M, N)``, in pixels.
    """
    gap = corners[..., :, None, :2, :] - others[..., None, :, :2, :]
    return (
        (gap**2).sum(-1).max(-1).values ** 0.5
        if isinstance(gap, Tensor)
        else np.sqrt((gap**2).sum(-1).max(-1))
    )
