"""COCO boxes and masks as columns: what CocoDataset reads of a file, and nothing else."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools.coco import COCO

from mmdet_ext.datasets.columnar.arrow_file import import_pyarrow, write_rows

if TYPE_CHECKING:
    import pyarrow as pa

KIND = 'coco'


def write_coco(
    path: str | Path,
    records: Iterable[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]],
    categories: Sequence[Mapping[str, Any]],
) -> int:
    """Write COCO annotations as one columnar file.

    Args:
        path: File to write or replace.
        records: Each image (``id``, ``file_name``, ``width``, ``height``) with its annotations
            (``bbox``, ``area``, ``category_id``, optional ``iscrowd``, ``ignore``,
            ``segmentation``), as in a COCO file. Ids are all integers or all strings.
        categories: ``categories`` of the COCO file.

    Returns:
        Number of images.

    Raises:
        ValueError: There is no image, or an entry lacks a key or has a value of another type.
    """
    records = iter(records)
    first = next(records, None)
    if first is None:
        raise ValueError(f'{path}: there is no image to write; check `images` of the source.')
    columns = _columns(text_ids=isinstance(first[0].get('id'), str))
    rows = (_row(image, annotations) for image, annotations in chain([first], records))
    return write_rows(path, rows, columns, {'kind': KIND, 'categories': list(categories)})


def _columns(text_ids: bool) -> dict[str, 'pa.DataType']:
    pa = import_pyarrow()
    return {
        'id': pa.string() if text_ids else pa.int64(),
        'file_name': pa.string(),
        'width': pa.int32(),
        'height': pa.int32(),
        'category_id': pa.list_(pa.int32()),
        'bbox': pa.list_(pa.list_(pa.float64(), 4)),
        'area': pa.list_(pa.float64()),
        'iscrowd': pa.list_(pa.uint8()),
        'ignore': pa.list_(pa.uint8()),
        'segmentation': pa.string(),
    }


def _row(image: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    for key, kinds in (('id', int | str), ('file_name', str), ('width', int), ('height', int)):
        if not isinstance(image.get(key), kinds):
            raise ValueError(
                f'images: the one with id {image.get("id")!r} has {key} {image.get(key)!r}; expected '
                f'{_type_name(kinds)}.'
            )
    for annotation in annotations:
        _check_annotation(annotation)
    masks = [annotation.get('segmentation') or None for annotation in annotations]
    return {
        'id': image['id'],
        'file_name': image['file_name'],
        'width': image['width'],
        'height': image['height'],
        'category_id': [annotation['category_id'] for annotation in annotations],
        'bbox': [annotation['bbox'] for annotation in annotations],
        'area': [annotation['area'] for annotation in annotations],
        'iscrowd': [int(bool(annotation.get('iscrowd'))) for annotation in annotations],
        'ignore': [int(bool(annotation.get('ignore'))) for annotation in annotations],
        # As text: polygons and run lengths in one column, numbers as they were.
        'segmentation': json.dumps(masks, separators=(',', ':')) if any(masks) else None,
    }


def _check_annotation(annotation: Mapping[str, Any]) -> None:
    bbox = annotation.get('bbox')
    if not (isinstance(bbox, list | tuple) and len(bbox) == 4 and all(map(_is_number, bbox))):
        problem = f'bbox {bbox!r}; expected [x, y, width, height]'
    elif not _is_number(annotation.get('area')):
        problem = f'area {annotation.get("area")!r}; expected a number'
    elif not isinstance(annotation.get('category_id'), int):
        problem = f'category_id {annotation.get("category_id")!r}; expected an integer'
    else:
        return
    raise ValueError(f'annotations: the one with id {annotation.get("id")!r} has {problem}.')


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _type_name(kinds: Any) -> str:
    return {str: 'a string', int: 'an integer'}.get(kinds, 'an integer or a string')


def raw_data_info(row: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a row back into what ``CocoDataset.parse_data_info`` takes.

    Args:
        row: Row of the file.

    Returns:
        ``raw_img_info`` and ``raw_ann_info``, of COCO's keys those that are read there.
    """
    image = {key: row[key] for key in ('id', 'file_name', 'width', 'height')}
    columns = ('category_id', 'bbox', 'area', 'iscrowd', 'ignore')
    values = [row[key].tolist() for key in columns]
    masks = json.loads(row['segmentation'] or 'null') or [None] * len(values[0])
    return {
        'raw_img_info': {**image, 'img_id': row['id']},
        'raw_ann_info': [
            dict(zip((*columns, 'segmentation'), annotation, strict=True))
            for annotation in zip(*values, masks, strict=True)
        ],
    }


def category_ids(categories: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> list[int]:
    """Ids of the categories with one of these names, as pycocotools has them.

    Args:
        categories: ``categories`` of the file.
        classes: Names.

    Returns:
        Ids in the order of the file.
    """
    coco = COCO()
    coco.dataset = {'categories': categories}
    return coco.getCatIds(catNms=classes)


def is_labelled(batch: 'pa.RecordBatch', wanted: Sequence[int]) -> np.ndarray:
    """Which images CocoDataset counts as not empty.

    Args:
        batch: Rows of the file.
        wanted: Category ids.

    Returns:
        Shape ``(N,)``, bool: the image has an annotation of one of these categories, valid or not.
    """
    column = batch.column('category_id')
    found = np.cumsum(np.isin(column.values.to_numpy(), wanted))
    before = np.concatenate([[0], found])[column.offsets.to_numpy()]
    return before[1:] > before[:-1]
