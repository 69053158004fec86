"""A COCO JSON file read image by image, whatever the order of its annotations."""

import json
import mmap
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rich.progress
from rich.console import Console

from mmdet_ext.datasets.columnar.arrow_file import import_pyarrow
from mmdet_ext.datasets.columnar.json_members import Member, iterate_members

if TYPE_CHECKING:
    import pyarrow as pa


class CocoJson:
    """Images of a COCO file, each with its annotations.

    The file is read twice: once to find out where the entries lie, which takes about 40 bytes of
    memory for each, and once image by image.

    Args:
        path: The JSON file.

    Attributes:
        categories: ``categories`` of the file.
        left_out: Number of annotations whose ``image_id`` no image has.

    Raises:
        ValueError: The file is not valid, or two images have the same id.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.categories: list[dict] = []
        self._images = _Entries(path, 'images', 'id')
        self._annotations = _Entries(path, 'annotations', 'image_id')
        lists = {entries.key: entries for entries in (self._images, self._annotations)}
        for member in self._members():
            if member.key in lists:
                lists[member.key].append(member)
            elif member.key == 'categories':
                self.categories.append(member.value)
        rows = self._rows_of_annotations()
        self._order = np.argsort(rows, kind='stable')
        self._first = np.searchsorted(rows[self._order], np.arange(len(self) + 1))
        self.left_out = int(self._first[0])

    def _members(self) -> Iterator[Member]:
        console = Console(stderr=True)
        with rich.progress.open(self.path, 'rb', description='Reading', console=console) as file:
            yield from iterate_members(file, self.path)

    def _rows_of_annotations(self) -> np.ndarray:
        """Index of each annotation's image, -1 where there is none."""
        from pyarrow import compute  # noqa: PLC0415 (an extra)

        if not self.categories or not len(self):
            raise ValueError(
                f'{self.path}: found {len(self)} `images` and {len(self.categories)} `categories`; '
                'expected a COCO file with some of each.'
            )
        known = self._images.ids().combine_chunks()
        counts = known.value_counts()
        if len(counts) < len(known):
            repeated = counts.filter(compute.greater(counts.field('counts'), 1))[0].as_py()
            raise ValueError(
                f'{self.path}: {repeated["counts"]} images have the id {repeated["values"]!r}; give '
                'each an id of its own.'
            )
        ids = self._annotations.ids()
        if len(ids) and ids.type != known.type:
            raise ValueError(
                f'{self.path}: `id` of the images is of type {known.type}, `image_id` of the '
                f'annotations {ids.type}; write both as integers or both as strings.'
            )
        return compute.fill_null(compute.index_in(ids, value_set=known), -1).to_numpy()

    def __len__(self) -> int:
        return len(self._images.starts)

    def __iter__(self) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        with (
            self.path.open('rb') as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            for image in range(len(self)):
                mine = self._order[self._first[image] : self._first[image + 1]].tolist()
                annotations = [self._annotations.parse(content, index) for index in mine]
                yield self._images.parse(content, image), annotations


class _Entries:
    """Where the entries of a list lie in the file, and which image each is of."""

    def __init__(self, path: str | Path, key: str, id_key: str) -> None:
        self.path, self.key, self.id_key = path, key, id_key
        self.starts, self.lengths = array('q'), array('q')
        self._packed: list[pa.Array] = []
        self._recent: list[int | str] = []
        self._id_type = None

    def append(self, member: Member) -> None:
        image_id = member.value.get(self.id_key) if isinstance(member.value, dict) else None
        self._id_type = self._id_type or type(image_id)
        if type(image_id) is not self._id_type or self._id_type not in (int, str):
            raise ValueError(
                f'{self.path}: {self.key}[{len(self.starts)}] has {self.id_key} {image_id!r}; '
                'expected integers throughout, or strings throughout.'
            )
        self._recent.append(image_id)
        self.starts.append(member.start)
        self.lengths.append(member.length)
        if len(self._recent) == 1 << 16:
            self._pack()

    def _pack(self) -> None:
        kind = 'string' if self._id_type is str else 'int64'
        self._packed.append(import_pyarrow().array(self._recent, kind))
        self._recent = []

    def ids(self) -> 'pa.ChunkedArray':
        self._pack()
        return import_pyarrow().chunked_array(self._packed)

    def parse(self, content: mmap.mmap, index: int) -> dict[str, Any]:
        start = self.starts[index]
        return json.loads(content[start : start + self.lengths[index]])
