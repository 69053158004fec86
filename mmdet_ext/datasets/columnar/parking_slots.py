"""Parking slots and marking points as columns: the arrays of ParkingImage, and its other fields."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmdet_ext.datasets.columnar.arrow_file import import_pyarrow, write_rows
from mmdet_ext.datasets.formats.parking_slot_coco import LABEL_KINDS, SLOT_TYPES, ParkingImage

if TYPE_CHECKING:
    import pyarrow as pa

KIND = 'parking_slots'

_EMPTY = vars(ParkingImage('', 0, 0))
_ARRAYS = {name: value for name, value in _EMPTY.items() if isinstance(value, np.ndarray)}
_SCALARS = ('file_name', 'width', 'height')
_OTHERS = [name for name in _EMPTY if name not in _ARRAYS and name not in _SCALARS]


def write_parking_slots(
    path: str | Path,
    records: Iterable[ParkingImage],
    labels: Sequence[str],
    classes: Sequence[str] = SLOT_TYPES,
) -> int:
    """Write records as one columnar file.

    Args:
        path: File to write or replace.
        records: Images; those without an ``image_id`` get their row, from 0.
        labels: Which of ``LABEL_KINDS`` are complete in these records.
        classes: Names of the ``slot_types``.

    Returns:
        Number of images.

    Raises:
        ValueError: A name in ``labels`` is unknown or a field has a value of another type.
    """
    unknown = [label for label in labels if label not in LABEL_KINDS]
    if unknown:
        raise ValueError(f'{path}: unknown label kinds {unknown}; expected some of {LABEL_KINDS}.')
    description = {'kind': KIND, 'labels': list(labels), 'classes': list(classes)}
    rows = (_row(index, record) for index, record in enumerate(records))
    return write_rows(path, rows, _columns(), description)


def _columns() -> dict[str, 'pa.DataType']:
    pa = import_pyarrow()
    scalars = {'file_name': pa.string(), 'width': pa.int32(), 'height': pa.int32()}
    arrays = {name: _list_type(array) for name, array in _ARRAYS.items()}
    return scalars | arrays | {'others': pa.string()}


def _list_type(array: np.ndarray) -> 'pa.DataType':
    pa = import_pyarrow()
    kind = pa.from_numpy_dtype(array.dtype)
    for size in array.shape[:0:-1]:
        kind = pa.list_(kind, size)
    return pa.list_(kind)


def _row(index: int, record: ParkingImage) -> dict[str, Any]:
    fields = vars(record)
    others = {name: fields[name] for name in _OTHERS}
    if others['image_id'] is None:
        others['image_id'] = index
    return {
        **{name: fields[name] for name in _SCALARS},
        **{name: fields[name].tolist() for name in _ARRAYS},
        'others': json.dumps(others, separators=(',', ':')),
    }


def parking_image(row: Mapping[str, Any]) -> ParkingImage:
    """Turn a row back into the record.

    Args:
        row: Row of the file.

    Returns:
        The record.
    """
    row = dict(row)
    return ParkingImage(**json.loads(row.pop('others')), **row)


def is_labelled(batch: 'pa.RecordBatch') -> np.ndarray:
    """Which images ParkingSlotDataset counts as not empty.

    Args:
        batch: Rows of the file.

    Returns:
        Shape ``(N,)``, bool: the image has a slot or a marking point.
    """
    slots, points = (
        np.diff(batch.column(name).offsets.to_numpy()) for name in ('corners', 'points')
    )
    return (slots > 0) | (points > 0)
