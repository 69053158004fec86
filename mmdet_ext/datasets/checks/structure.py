"""Ids, references and keys of a COCO file: what decides whether it can be loaded at all."""

from collections.abc import Iterator

import numpy as np

from mmdet_ext.datasets.checks.annotation_file import (
    LISTS,
    AnnotationFile,
    ids,
    repeated,
)
from mmdet_ext.datasets.checks.findings import ERROR, NOTE, WARNING, Finding, findings_at


def check_structure(file: AnnotationFile) -> Iterator[Finding]:
    """Check the lists of a file, its ids and what they refer to.

    Args:
        file: The file.

    Yields:
        Findings.
    """
    source = str(file.path)
    for key in file.no_lists:
        # CocoDataset takes a file without the list for unlabelled, as COCO's test images are.
        unlabelled = key == 'annotations' and not file.is_parking
        yield Finding(
            WARNING if unlabelled else ERROR,
            source,
            f'there is no list `{key}`',
            'convert the labels to COCO with tools/dataset/convert.py',
        )
    for key, count in file.strays.items():
        if count:
            yield Finding(
                ERROR,
                source,
                f'entries of `{key}` are no objects',
                'remove them',
                count,
                count + len(getattr(file, key)),
            )
    yield from _check_images(file, source)
    yield from _check_categories(file, source)
    yield from _check_ids(file, source)
    yield from _check_references(file, source)


def _check_images(file: AnnotationFile, source: str) -> Iterator[Finding]:
    names = [image.get('file_name') for image in file.images]
    yield from findings_at(
        np.array([not isinstance(name, str) or not name for name in names], bool),
        source,
        'images have no `file_name`',
        'name their files, relative to the image folder',
        file.image_at,
        ERROR,
    )
    yield from findings_at(
        np.isnan(file.sizes).any(-1),
        source,
        'images have no positive `width` and `height`',
        'write the size of the image file in pixels',
        file.image_at,
        ERROR,
    )
    yield from findings_at(
        repeated(ids(file.images, 'file_name')),
        source,
        'images are listed a second time',
        'merge their annotations under one id',
        file.image_at,
        WARNING,
    )
    labelled = np.zeros(len(file.images) + 1, bool)
    labelled[file.image_rows] = labelled[file.point_image_rows] = True
    yield from findings_at(
        ~labelled[:-1],
        source,
        'images have no label',
        'keep them if they really show nothing, label or remove them otherwise',
        file.image_at,
        NOTE,
    )


def _check_categories(file: AnnotationFile, source: str) -> Iterator[Finding]:
    names = [category.get('name') for category in file.categories]
    yield from findings_at(
        np.array([not isinstance(name, str) for name in names], bool)
        | repeated(ids(file.categories, 'name')),
        source,
        'categories have no name of their own',
        'give each category another name',
        lambda row: f'categories[{row}], {file.categories[row]}',
        ERROR,
    )


def _check_ids(file: AnnotationFile, source: str) -> Iterator[Finding]:
    places = {
        'images': file.image_at,
        'annotations': file.annotation_at,
        'categories': lambda row: f'categories[{row}], {file.categories[row]}',
        'marking_points': file.point_at,
    }
    for key in LISTS:
        names = ids(getattr(file, key))
        yield from findings_at(
            np.array([name is None for name in names], bool),
            source,
            f'entries of `{key}` have no `id`',
            'number them',
            places[key],
            ERROR,
        )
        yield from findings_at(
            repeated(names),
            source,
            f'entries of `{key}` have the id of another one',
            'number them anew, and the references to them',
            places[key],
            ERROR,
        )
    yield from findings_at(
        np.array([name == 0 for name in ids(file.annotations)], bool),
        source,
        'annotations have the id 0, with which pycocotools counts a detected object as missed',
        'number annotations from 1',
        file.annotation_at,
        WARNING,
    )


def _check_references(file: AnnotationFile, source: str) -> Iterator[Finding]:
    # The strict reader of parking slots stops at these; stock CocoDataset passes over them.
    severity = ERROR if file.is_parking else WARNING
    for key, entries, rows, place in (
        ('annotations', file.annotations, file.image_rows, file.annotation_at),
        ('marking_points', file.marking_points, file.point_image_rows, file.point_at),
    ):
        yield from findings_at(
            rows < 0,
            source,
            f'{key} are of an image that `images` does not have',
            'remove them or add their images',
            lambda row, entries=entries, place=place: (
                f'{place(row)} with image_id {entries[row].get("image_id")!r}'
            ),
            severity,
        )
    yield from findings_at(
        file.category_rows < 0,
        source,
        'annotations are of a category that `categories` does not have',
        'correct their `category_id` or add the category',
        lambda row: (
            f'{file.annotation_at(row)} with category_id '
            f'{file.annotations[row].get("category_id")!r}, known are '
            f'{ids(file.categories)[:10]}'
        ),
        severity,
    )
