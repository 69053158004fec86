"""Marking points: numbers, place, direction, copies; whether the file has what it claims."""

from collections.abc import Iterator

import numpy as np

from mmdet_ext.datasets.checks.annotation_file import AnnotationFile, ids
from mmdet_ext.datasets.checks.boxes import SLACK, repeated_rows
from mmdet_ext.datasets.checks.findings import ERROR, WARNING, Finding, findings_at
from mmdet_ext.datasets.formats.parking_slot_coco import LABEL_KINDS
from mmdet_ext.structures.marking_points import SHAPES


def check_points(file: AnnotationFile) -> Iterator[Finding]:
    """Check the marking points, and that the kinds of label in ``info.labels`` are complete.

    Args:
        file: A parking-slot COCO file.

    Yields:
        Findings.
    """
    source = str(file.path)

    def example(row: int) -> str:
        entry = file.marking_points[row]
        return f'{file.point_at(row)} with point {entry.get("point")}'

    yield from _check_values(file, source, example)
    outside = ((file.points < -SLACK) | (file.points > file.point_sizes + SLACK)).any(-1)
    yield from findings_at(
        outside,
        source,
        'marking points lie outside their image',
        'remove them and their ids from the slots',
        example,
    )
    yield from findings_at(
        repeated_rows(np.column_stack([file.point_image_rows, file.points.round(1)])),
        source,
        'marking points are in the file twice',
        'remove the copies, and let the slots name the ones that stay',
        example,
    )
    yield from _check_completeness(file, source)


def _check_values(file: AnnotationFile, source: str, example) -> Iterator[Finding]:
    yield from findings_at(
        ~np.isfinite(file.points).all(-1),
        source,
        'marking points are not two finite numbers',
        'write [x, y] in pixels, or remove them',
        example,
        ERROR,
    )
    given = np.array([entry.get('direction') is not None for entry in file.marking_points], bool)
    length = np.linalg.norm(file.directions, axis=-1)
    yield from findings_at(
        given & ~(np.abs(length - 1) < 0.01),
        source,
        'marking points have a direction that is no unit vector',
        'divide it by its length, or write null where it is unknown',
        lambda row: f'{file.point_at(row)} with {file.marking_points[row].get("direction")}',
    )
    shapes = {*SHAPES, None}
    names = ids(file.marking_points, 'shape')
    yield from findings_at(
        np.array([name not in shapes for name in names], bool),
        source,
        'marking points have an unknown shape',
        f'write one of {", ".join(SHAPES)} or null',
        lambda row: f'{file.point_at(row)} with shape {names[row]!r}',
        ERROR,
    )


def _check_completeness(file: AnnotationFile, source: str) -> Iterator[Finding]:
    claimed = file.labels_claimed
    unknown = [label for label in claimed if label not in LABEL_KINDS]
    if unknown:
        yield Finding(
            ERROR,
            source,
            f'`info.labels` names unknown kinds of label {unknown}',
            f'name some of {", ".join(LABEL_KINDS)}',
        )
    for kind, entries, key, place in (
        ('directions', file.marking_points, 'direction', file.point_at),
        ('shapes', file.marking_points, 'shape', file.point_at),
        ('occupancy', file.annotations, 'occupied', file.annotation_at),
    ):
        if kind in claimed:
            yield from findings_at(
                np.array([entry.get(key) is None for entry in entries], bool),
                source,
                f'{"slots" if kind == "occupancy" else "marking points"} have no `{key}`, although '
                f'`info.labels` calls {kind} complete',
                f'label them, or take {kind} out of `info.labels`',
                place,
            )
    for kind, entries in (('marking_points', file.marking_points), ('slots', file.annotations)):
        if kind in claimed and not entries:
            yield Finding(
                WARNING,
                source,
                f'there are no {kind.replace("_", " ")}, although `info.labels` calls them complete',
                f'add them, or take {kind} out of `info.labels`',
            )
