"""One Arrow IPC file of annotations: written in batches, read row by row through a memory map."""

import functools
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from mmdet_ext.utils.files import moved_into_place

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 8192
"""Rows of a record batch: what conversion holds in memory at a time."""

OPEN_BATCHES = 128
"""Record batches that a process keeps open, without their data: what bounds a reader's memory."""

_DESCRIPTION = b'mmdet_ext.annotations'
_VERSION = 1


def import_pyarrow() -> ModuleType:
    """Return ``pyarrow``.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import pyarrow  # noqa: PLC0415 (an extra, and needed for very large sets only)
    except ImportError as error:
        raise ImportError(
            "Columnar annotation files need pyarrow: pip install 'mmdet_ext[data]'."
        ) from error
    return pyarrow


def write_rows(
    path: str | Path,
    rows: Iterable[Mapping[str, Any]],
    columns: Mapping[str, 'pa.DataType'],
    description: Mapping[str, Any],
) -> int:
    """Write an annotation file, whole or not at all; memory does not grow with the rows.

    Args:
        path: File to write or replace; folders are made.
        rows: Values by column name.
        columns: Types of the columns.
        description: What holds for the whole file, in terms of JSON.

    Returns:
        Number of rows.

    Raises:
        ValueError: A value does not fit the type of its column.
    """
    pa = import_pyarrow()
    description = {**description, 'version': _VERSION, 'batch_rows': BATCH_ROWS}
    schema = pa.schema(columns.items(), {_DESCRIPTION: json.dumps(description)})
    count, rows = 0, iter(rows)
    with moved_into_place(path) as aside, pa.ipc.new_file(aside, schema) as writer:
        while batch := list(itertools.islice(rows, BATCH_ROWS)):
            arrays = [_array(path, name, columns[name], count, batch) for name in columns]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
            count += len(batch)
    return count


def _array(path: str | Path, name: str, kind: 'pa.DataType', first: int, rows: list) -> 'pa.Array':
    pa = import_pyarrow()
    try:
        return pa.array([row[name] for row in rows], kind)
    except (pa.ArrowException, OverflowError) as error:
        raise ValueError(
            f'{path}: a value of `{name}` in the images {first} to {first + len(rows) - 1} is not of '
            f'the type {kind} ({error}); correct it in the source.'
        ) from error


class ArrowFile:
    """Annotations of a file that :func:`write_rows` wrote.

    It is opened when a process first reads from it. Copies that are forked, pickled or deep-copied
    take the path along and nothing else, and all of them share the one copy of the data that the
    system's page cache holds.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: There is no such file. This and the next when it is first read.
        ValueError: It is no annotation file, or of a version that is not known here.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._reader: _Reader | None = None

    def __getstate__(self) -> dict:
        return {'path': self.path, '_reader': None}

    def _opened(self) -> '_Reader':
        if self._reader is None or self._reader.process != os.getpid():
            self._reader = _Reader(self.path)
        return self._reader

    @property
    def description(self) -> dict[str, Any]:
        """What holds for the whole file."""
        return self._opened().description

    def __len__(self) -> int:
        return self._opened().length

    def row(self, index: int) -> dict[str, Any]:
        """Read one row.

        Args:
            index: Row, from 0.

        Returns:
            Values by column name. A list of numbers is an array ``(N,)``, one of fixed-size lists
            an array ``(N, ...)``; each may be written to.
        """
        reader = self._opened()
        batch, offset = divmod(index, reader.description['batch_rows'])
        return {name: read(offset) for name, read in reader.columns_of(batch).items()}

    def batches(self) -> Iterator['pa.RecordBatch']:
        """Yield all record batches in order, without copying their data."""
        arrow = self._opened().arrow
        return map(arrow.get_batch, range(arrow.num_record_batches))


class _Reader:
    """The file as open in one process."""

    def __init__(self, path: str) -> None:
        self.process = os.getpid()
        self.arrow = _open_arrow(path)
        self.description = _read_description(path, self.arrow.schema)
        full = self.arrow.num_record_batches - 1
        last = self.arrow.get_batch(full).num_rows if full >= 0 else 0
        self.length = max(full, 0) * self.description['batch_rows'] + last
        self.columns_of = functools.lru_cache(OPEN_BATCHES)(self._columns_of)

    def _columns_of(self, batch: int) -> dict[str, Callable[[int], Any]]:
        arrays = self.arrow.get_batch(batch)
        return {
            name: _row_reader(column)
            for name, column in zip(arrays.schema.names, arrays.columns, strict=True)
        }


def _open_arrow(path: str) -> 'pa.RecordBatchFileReader':
    pa = import_pyarrow()
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'Annotation file {Path(path).absolute()} not found; check `data_root` and `ann_file` '
            'of the config.'
        )
    try:
        return pa.ipc.open_file(pa.memory_map(path))
    except pa.ArrowInvalid as error:
        raise ValueError(_not_ours(path)) from error


def _read_description(path: str, schema: 'pa.Schema') -> dict[str, Any]:
    text = (schema.metadata or {}).get(_DESCRIPTION)
    if text is None:
        raise ValueError(_not_ours(path))
    description = json.loads(text)
    if description['version'] != _VERSION:
        raise ValueError(
            f'{path}: a columnar annotation file of version {description["version"]}, this '
            f'mmdet_ext reads version {_VERSION}; convert its source again.'
        )
    return description


def _not_ours(path: str) -> str:
    return (
        f'{path}: not a (whole) columnar annotation file; write one with '
        '`python tools/dataset/to_columnar.py ANN.json OUT.arrow`.'
    )


def _row_reader(column: 'pa.Array') -> Callable[[int], Any]:
    """How to read a row of a column without touching the rest of it."""
    types = import_pyarrow().types
    if not types.is_list(column.type):
        return lambda row: column[row].as_py()
    offsets, values, shape = column.offsets.to_numpy(), column.values, []
    while types.is_fixed_size_list(values.type):
        shape.append(values.type.list_size)
        values = values.values
    numbers = values.to_numpy().reshape(-1, *shape)
    return lambda row: np.array(numbers[offsets[row] : offsets[row + 1]])
