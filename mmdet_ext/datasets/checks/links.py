"""Slots and the marking points that their entrance corners hang on."""

from collections.abc import Iterator

import numpy as np

from mmdet_ext.datasets.checks.annotation_file import AnnotationFile
from mmdet_ext.datasets.checks.findings import Finding, findings_at
from mmdet_ext.datasets.checks.slots import SAME_PLACE, clockwise


def check_links(file: AnnotationFile) -> Iterator[Finding]:
    """Check ``marking_point_ids`` of every slot.

    Args:
        file: A parking-slot COCO file.

    Yields:
        Findings.
    """
    source = str(file.path)
    yield from findings_at(
        (file.slot_points == -2).any(-1) | _of_another_image(file).any(-1),
        source,
        'slots name a marking point that is not there or belongs to another image',
        'correct `marking_point_ids`',
        lambda row: (
            f'{file.annotation_at(row)} with {file.annotations[row].get("marking_point_ids")}'
        ),
    )
    yield from _check_places(file, source)


def _check_places(file: AnnotationFile, source: str) -> Iterator[Finding]:
    def example(row: int) -> str:
        names = file.annotations[row].get('marking_point_ids')
        points = [
            file.points[k].round(1).tolist() if k >= 0 else None for k in file.slot_points[row]
        ]
        corners = file.corners[row].round(1).tolist()
        return f'{file.annotation_at(row)} with {names} at {points} and corners {corners}'

    near, far = _gaps(file)
    rear = linked_to_rear(file)
    yield from findings_at(
        rear,
        source,
        'slots have their marking points at the rear corners: entrance and rear are exchanged',
        'exchange p1 with p3 and p2 with p4',
        example,
    )
    # A clockwise slot is reported as such: its corners are exchanged, not its points.
    reversed_ids = far & ~rear & near[:, 0, 1] & near[:, 1, 0] & ~clockwise(file.corners)
    yield from findings_at(
        reversed_ids,
        source,
        'slots name their two marking points in the wrong order',
        'exchange the two `marking_point_ids`: left of the entrance first',
        example,
    )
    yield from findings_at(
        far & ~rear & ~reversed_ids & ~clockwise(file.corners),
        source,
        'slots have an entrance corner far from the marking point that it should hang on '
        f'(more than {SAME_PLACE:g} px of a 600-pixel-high image)',
        'correct the corner, the point or `marking_point_ids`',
        example,
    )


def linked_to_rear(file: AnnotationFile) -> np.ndarray:
    """Mark the slots whose two marking points lie at their rear corners, ``(N,)``."""
    near, far = _gaps(file)
    return far & ((near[:, 0, 2] & near[:, 1, 3]) | (near[:, 0, 3] & near[:, 1, 2]))


def _gaps(file: AnnotationFile) -> tuple[np.ndarray, np.ndarray]:
    """Which points are at which corner, ``(N, 2, 4)``; which slots have one off its own, ``(N,)``."""
    points = np.concatenate([file.points, np.full((2, 2), np.nan)])[file.slot_points]
    points[_of_another_image(file)] = np.nan
    gaps = np.linalg.norm(points[:, :, None] - file.corners[:, None], axis=-1)
    gaps /= file.unit[:, None, None]
    return gaps < SAME_PLACE, (gaps[:, [0, 1], [0, 1]] >= SAME_PLACE).any(-1)


def _of_another_image(file: AnnotationFile) -> np.ndarray:
    rows = file.slot_points
    images = np.concatenate([file.point_image_rows, [-1, -1]])[rows]  # rows -1 and -2: no point
    return (rows >= 0) & (images != file.image_rows[:, None])
