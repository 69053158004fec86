"""Corners of parking slots: order, shape, width, place."""

import reprlib
from collections.abc import Iterator

import numpy as np

from mmdet_ext.datasets.checks.annotation_file import AnnotationFile
from mmdet_ext.datasets.checks.boxes import repeated_rows
from mmdet_ext.datasets.checks.findings import ERROR, Finding, findings_at

ENTRANCE_METRES = {'perpendicular': (1.5, 5.0), 'parallel': (3.5, 9.0), 'slanted': (1.5, 7.0)}
"""Entrances that occur, in metres: from those for small cars to those for wheelchairs or trucks."""

_ANY_ENTRANCE = (1.5, 9.0)
SAME_PLACE = 10.0
"""Pixels of a 600-pixel-high image within which two labels mean the same place."""


def check_slots(file: AnnotationFile) -> Iterator[Finding]:
    """Check the corners of every slot.

    Args:
        file: A parking-slot COCO file.

    Yields:
        Findings.
    """
    source = str(file.path)

    def example(row: int) -> str:
        corners = file.corners[row].round(1).tolist()
        return f'{file.annotation_at(row)} with corners {corners}'

    yield from _check_values(file, source, example)
    corners = file.corners
    if len(corners) and np.nanmax(np.abs(corners), initial=0) <= 1.5:
        yield Finding(
            ERROR,
            source,
            'slots have corners given as shares of the image instead of in pixels',
            'multiply them by the width and height of their images',
            len(corners),
            len(corners),
            example(0),
        )
        return
    yield from _check_shapes(file, source, example)
    yield from _check_widths(file, source)
    outside = ((corners < 0).all(1) | (corners > file.box_sizes[:, None]).all(1)).any(-1)
    yield from findings_at(
        outside,
        source,
        'slots lie wholly outside their image',
        'remove them, or correct the size of the image',
        example,
    )
    yield from findings_at(
        repeated_rows(np.column_stack([file.image_rows, _sorted_corners(corners)])),
        source,
        'slots are in the file twice',
        'remove the copies',
        example,
    )


def _check_values(file: AnnotationFile, source: str, example) -> Iterator[Finding]:
    malformed = file.corners_malformed
    yield from findings_at(
        malformed,
        source,
        'slots have no four corners',
        'write `keypoints` as twelve numbers, x y v of entrance_left, entrance_right, rear_right '
        'and rear_left',
        lambda row: (
            f'{file.annotation_at(row)} with keypoints '
            f'{reprlib.repr(file.annotations[row].get("keypoints"))}'
        ),
        ERROR,
    )
    yield from findings_at(
        ~malformed & ~np.isfinite(file.corners).all((1, 2)),
        source,
        'slots hold NaN or infinity, which makes the loss NaN',
        'remove or relabel them',
        example,
        ERROR,
    )
    yield from findings_at(
        np.array(
            [not isinstance(entry.get('occupied'), bool | None) for entry in file.annotations], bool
        ),
        source,
        'slots have an `occupied` that is not true, false or null',
        'write one of them',
        lambda row: (
            f'{file.annotation_at(row)} with occupied {file.annotations[row]["occupied"]!r}'
        ),
        ERROR,
    )


def _check_shapes(file: AnnotationFile, source: str, example) -> Iterator[Finding]:
    edges, turns = _edges_and_turns(file.corners)
    short = (np.linalg.norm(edges, axis=-1) < file.unit[:, None]).any(-1)
    yield from findings_at(
        short,
        source,
        'slots have two corners in one place',
        'remove or relabel them',
        example,
    )
    reverse = clockwise(file.corners) & ~short
    yield from findings_at(
        reverse,
        source,
        'slots have corners that run clockwise on screen, left and right of the entrance exchanged',
        'exchange p1 with p2 and p3 with p4 (entrance_left is on the left of who drives in)',
        example,
    )
    mixed = (turns > 0).any(-1) & ~reverse & ~short
    crossing = mixed & ((turns > 0).sum(-1) == 2)  # a convex one turns one way, a dented one once
    yield from findings_at(
        crossing,
        source,
        'slots have sides that cross',
        'order the corners entrance_left, entrance_right, rear_right, rear_left',
        example,
    )
    yield from findings_at(
        mixed & ~crossing,
        source,
        'slots are dented instead of convex',
        'correct the corner that is off',
        example,
    )


def _check_widths(file: AnnotationFile, source: str) -> Iterator[Finding]:
    pixels = np.linalg.norm(file.corners[:, 1] - file.corners[:, 0], axis=-1)
    metres = pixels * file.metres_per_pixel
    limits = np.array([ENTRANCE_METRES.get(name, _ANY_ENTRANCE) for name in file.names])
    low, high = np.concatenate([limits.reshape(-1, 2), [_ANY_ENTRANCE]])[file.category_rows].T
    yield from findings_at(
        (metres < low) | (metres > high),
        source,
        'slots have an entrance of an implausible width for their type',
        'correct the entrance, the type or `metres_per_pixel` of the image',
        lambda row: (
            f'{file.annotation_at(row)}: {metres[row]:.2f} m, expected '
            f'{low[row]:g} to {high[row]:g} m'
        ),
    )
    relative = np.where(np.isnan(metres), pixels / file.unit, np.nan)
    median = _median_of_category(relative, file.category_rows)
    yield from findings_at(
        (relative < median / 3) | (relative > median * 3),
        source,
        'slots have an entrance more than three times as wide or narrow as is usual for their type',
        'correct the entrance or the type, and give the images `metres_per_pixel`',
        lambda row: (
            f'{file.annotation_at(row)}: {relative[row]:.0f} px, the median is '
            f'{median[row]:.0f} px of a 600-pixel-high image'
        ),
    )


def _median_of_category(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    medians = np.full(len(values), np.nan)
    for row in np.unique(rows):
        known = (rows == row) & ~np.isnan(values)
        if known.any():
            medians[rows == row] = np.median(values[known])
    return medians


def _sorted_corners(corners: np.ndarray) -> np.ndarray:
    """Corners in an order of their own, so that copies in another order compare equal, ``(N, 8)``."""
    rounded = corners.round(1)
    order = np.lexsort((rounded[..., 1], rounded[..., 0]), axis=-1)
    return np.take_along_axis(rounded, order[..., None], 1).reshape(-1, 8)


def clockwise(corners: np.ndarray) -> np.ndarray:
    """Mark convex slots whose corners run clockwise on screen.

    Args:
        corners: ``(N, 4, 2)``.

    Returns:
        ``(N,)``.
    """
    return (_edges_and_turns(corners)[1] > 0).all(-1)


def _edges_and_turns(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges ``(N, 4, 2)`` and the turn after each, ``(N, 4)``, negative if anticlockwise on screen."""
    edges = np.roll(corners, -1, axis=1) - corners
    after = np.roll(edges, -1, axis=1)
    return edges, edges[..., 0] * after[..., 1] - edges[..., 1] * after[..., 0]
