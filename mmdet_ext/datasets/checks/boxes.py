"""Boxes of a COCO file: numbers, size, place in the image, layout, duplicates."""

from collections.abc import Iterator

import numpy as np

from mmdet_ext.datasets.checks.annotation_file import AnnotationFile
from mmdet_ext.datasets.checks.findings import ERROR, NOTE, WARNING, Finding, findings_at

SLACK = 1.0
"""Pixels that a label may reach over the border: rounding and 1-based labels."""


def check_boxes(file: AnnotationFile) -> Iterator[Finding]:
    """Check ``bbox`` and ``area`` of every annotation.

    Args:
        file: The file.

    Yields:
        Findings.
    """
    source = str(file.path)

    def example(row: int) -> str:
        size = [f'{value:g}' for value in file.box_sizes[row]]
        box = file.annotations[row].get('bbox')
        return f'{file.annotation_at(row)} with bbox {box} in an image of {" x ".join(size)}'

    yield from _check_numbers(file, source, example)
    layout = list(_check_layout(file, source, example))
    yield from layout
    if not layout:  # else every box would be reported a second time
        yield from _check_places(file, source, example)
    if not file.is_parking:  # slots are compared by their corners
        yield from findings_at(
            repeated_rows(
                np.column_stack([file.image_rows, file.category_rows, file.boxes.round(2)])
            ),
            source,
            'boxes are in the file twice, with the same category',
            'remove the copies',
            example,
        )


def _check_numbers(file: AnnotationFile, source: str, example) -> Iterator[Finding]:
    malformed = file.boxes_malformed
    yield from findings_at(
        malformed,
        source,
        'annotations have no `bbox` of four numbers',
        'write [x, y, width, height] in pixels',
        example,
        ERROR,
    )
    yield from findings_at(
        ~malformed & ~np.isfinite(file.boxes).all(-1),
        source,
        'boxes hold NaN or infinity, which makes the loss NaN',
        'remove or relabel them',
        example,
        ERROR,
    )
    yield from findings_at(
        np.isnan(file.areas),
        source,
        'annotations have no number as `area`, which CocoDataset and pycocotools ask for',
        'write the area of the object in square pixels, or width times height',
        file.annotation_at,
        ERROR,
    )


def _check_layout(file: AnnotationFile, source: str, example) -> Iterator[Finding]:
    """Find boxes that follow another convention than x y width height in pixels."""
    known = np.isfinite(file.boxes).all(-1) & np.isfinite(file.box_sizes).all(-1)
    boxes, sizes = file.boxes[known], file.box_sizes[known]
    if not len(boxes):
        return
    first = int(np.flatnonzero(known)[0])
    if np.abs(boxes).max() <= 1.5 and sizes.min() > 10:
        yield Finding(
            ERROR,
            source,
            'boxes are given as shares of the image instead of in pixels',
            'multiply them by the width and height of their images',
            len(boxes),
            len(known),
            example(first),
        )
        return
    sticking_out = (boxes[:, :2] + boxes[:, 2:] > sizes + SLACK).any(-1)
    corners_fit = (boxes[:, 2:] >= boxes[:, :2]) & (boxes[:, 2:] <= sizes + SLACK)
    if sticking_out.mean() > 0.2 and corners_fit.all():
        yield Finding(
            ERROR,
            source,
            'boxes seem to be [x1, y1, x2, y2]: read as [x, y, width, height] they leave the image',
            'write the width and height instead of the second corner',
            int(sticking_out.sum()),
            len(known),
            example(int(np.flatnonzero(known)[np.argmax(sticking_out)])),
        )


def _check_places(file: AnnotationFile, source: str, example) -> Iterator[Finding]:
    low, extent = file.boxes[:, :2], file.boxes[:, 2:]
    high, size = low + extent, file.box_sizes
    flat = (extent < 1).any(-1) | (file.areas <= 0)
    yield from findings_at(
        flat,
        source,
        'boxes are less than one pixel wide or high or have no `area`, and are left out of training',
        'remove or relabel them',
        example,
    )
    outside = ((high <= 0) | (low >= size)).any(-1) & ~flat
    yield from findings_at(
        outside,
        source,
        'boxes lie wholly outside their image, and are left out of training',
        'remove them, or correct the size of the image',
        example,
    )
    beyond = ((low < -SLACK) | (high > size + SLACK)).any(-1) & ~outside & ~flat
    yield from findings_at(
        beyond,
        source,
        'boxes reach over the border of their image',
        'clip them, unless they are meant to show the whole of a cut-off object',
        example,
        WARNING if 2 * beyond.sum() > len(beyond) else NOTE,
    )


def repeated_rows(rows: np.ndarray) -> np.ndarray:
    """Mark rows that stood before; rows with NaN do not count.

    Args:
        rows: ``(N, K)``.

    Returns:
        ``(N,)``.
    """
    marked = np.zeros(len(rows), bool)
    candidates = np.flatnonzero(~np.isnan(rows).any(-1))
    ordered = candidates[np.lexsort(rows[candidates].T)]  # stable: copies keep their order
    marked[ordered[1:]] = (rows[ordered[1:]] == rows[ordered[:-1]]).all(-1)
    return marked
