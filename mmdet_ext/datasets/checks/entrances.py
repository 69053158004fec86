"""Entrance and rear of parking slots, told apart by neighbours and marking points."""

from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree

from mmdet_ext.datasets.checks.annotation_file import AnnotationFile
from mmdet_ext.datasets.checks.findings import Finding, findings_at
from mmdet_ext.datasets.checks.links import linked_to_rear
from mmdet_ext.datasets.checks.slots import SAME_PLACE

_APART = 1e5
"""Distance between images when the labels of all are searched at once."""


def check_entrances(file: AnnotationFile) -> Iterator[Finding]:
    """Check which end of a slot is the entrance by its neighbours and by the marking points.

    Slots that share a separating line open to the same side, and marking points sit at entrances.

    Args:
        file: A parking-slot COCO file.

    Yields:
        Findings.
    """
    source = str(file.path)
    usable = np.flatnonzero(np.isfinite(file.corners).all((1, 2)) & ~np.isnan(file.unit))
    corners = file.corners[usable] / file.unit[usable, None, None]
    images = file.image_rows[usable, None] * _APART
    contradicted = np.zeros(len(file.annotations), bool)
    other = np.zeros(len(file.annotations), np.int64)
    for start, end in ((0, 3), (1, 2)):  # the left, then the right separating line
        line = np.concatenate([images, corners[:, start], corners[:, end]], -1)
        opposite = np.concatenate([images, corners[:, end], corners[:, start]], -1)
        distance, match = _nearest(line, opposite)
        near = (distance < SAME_PLACE) & (match != np.arange(len(line)))
        contradicted[usable[near]] = True
        other[usable[near]] = usable[match[near]]
    explained = linked_to_rear(file)
    contradicted &= ~(explained | explained[other])
    yield from findings_at(
        contradicted,
        source,
        'slots open to the other side than the slot with which they share a separating line',
        'exchange entrance and rear (p1 with p3, p2 with p4) of the one that is wrong',
        lambda row: f'{file.annotation_at(row)} beside {file.annotation_at(other[row])}',
    )
    if 'marking_points' in file.labels_claimed and len(file.points):
        yield from findings_at(
            _points_at_rear_alone(file) & ~explained,
            source,
            'slots have marking points at their rear corners and none at the entrance',
            'exchange entrance and rear (p1 with p3, p2 with p4), or label the missing points',
            file.annotation_at,
        )


def _points_at_rear_alone(file: AnnotationFile) -> np.ndarray:
    unit = file.unit[:, None]
    inside = ((file.corners >= 0) & (file.corners <= file.box_sizes[:, None])).all(-1)
    points = np.column_stack(
        [file.point_image_rows * _APART, file.points * 600 / file.point_sizes[:, 1:]]
    )
    points = points[np.isfinite(points).all(-1)]
    images = np.broadcast_to(file.image_rows[:, None, None] * _APART, (len(unit), 4, 1))
    queries = np.concatenate([images, file.corners / unit[..., None]], -1)
    distance, _ = _nearest(points, np.where(np.isfinite(queries), queries, -1e9).reshape(-1, 3))
    marked = (distance < SAME_PLACE).reshape(-1, 4)
    return marked[:, 2:].all(-1) & inside[:, :2].all(-1) & ~marked[:, :2].any(-1)


def _nearest(places: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to, and row of, the place nearest to each query; infinite where there is none near."""
    if not len(places):
        return np.full(len(queries), np.inf), np.zeros(len(queries), np.int64)
    return cKDTree(places).query(queries, distance_upper_bound=SAME_PLACE)
