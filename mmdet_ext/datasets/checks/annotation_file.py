"""A COCO file as NumPy columns, read without judging it: defects become NaN and row -1."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np

from mmdet_ext.datasets.checks.findings import ERROR, Finding
from mmdet_ext.datasets.formats.parking_slot_coco import KEYPOINTS, LABEL_KINDS
from mmdet_ext.utils.files import parse_json

LISTS = ('images', 'annotations', 'categories', 'marking_points')
_NUMBERS = frozenset((int, float))
_KEYS = frozenset((int, float, str, bool, type(None)))


@dataclass
class AnnotationFile:
    """One COCO file, plain or with parking slots.

    Attributes:
        path: The file.
        info: Its ``info``, empty if there is none.
        images: Entries of the list, those that are objects; so for the other lists.
        annotations: Boxes or slots.
        categories: Classes.
        marking_points: Empty in plain COCO.
        no_lists: Names of lists that should be there and are not.
        strays: Number of entries that are no objects, by list.
    """

    path: Path
    info: dict
    images: list[dict]
    annotations: list[dict]
    categories: list[dict]
    marking_points: list[dict]
    no_lists: tuple[str, ...]
    strays: dict[str, int]

    @cached_property
    def is_parking(self) -> bool:
        """Whether the file is parking-slot COCO."""
        keypoints = [category.get('keypoints') for category in self.categories]
        kinds = self.labels_claimed
        return bool(
            self.marking_points or list(KEYPOINTS) in keypoints or set(kinds) & set(LABEL_KINDS)
        )

    @property
    def labels_claimed(self) -> list[str]:
        """Kinds of label that ``info.labels`` calls complete."""
        labels = self.info.get('labels')
        return [str(label) for label in labels] if isinstance(labels, list) else []

    @cached_property
    def sizes(self) -> np.ndarray:
        """Width and height of the images, ``(I, 2)``, NaN where not positive numbers."""
        sizes = np.stack([_scalars(self.images, key) for key in ('width', 'height')], -1)
        return np.where(sizes > 0, sizes, np.nan)

    @cached_property
    def image_rows(self) -> np.ndarray:
        """Row in ``images`` of each annotation, ``(N,)``, -1 for none."""
        return _rows(self.annotations, 'image_id', self._image_of_id)

    @cached_property
    def category_rows(self) -> np.ndarray:
        """Row in ``categories`` of each annotation, ``(N,)``, -1 for none."""
        return _rows(self.annotations, 'category_id', _first_rows(self.categories))

    @cached_property
    def boxes(self) -> np.ndarray:
        """``x y width height`` in pixels, ``(N, 4)``, NaN where ``bbox`` is not four numbers."""
        return self._boxes[0]

    @cached_property
    def areas(self) -> np.ndarray:
        """``area`` of each annotation in square pixels, ``(N,)``, NaN if it is no number."""
        return _scalars(self.annotations, 'area')

    @property
    def boxes_malformed(self) -> np.ndarray:
        """Mark the annotations whose ``bbox`` is not four numbers, NaN allowed, ``(N,)``."""
        return ~self._boxes[1]

    @property
    def corners_malformed(self) -> np.ndarray:
        """Mark the annotations whose ``keypoints`` is not twelve numbers, NaN allowed, ``(N,)``."""
        return ~self._corners[1]

    @cached_property
    def box_sizes(self) -> np.ndarray:
        """Size of each annotation's image, ``(N, 2)``, NaN if unknown."""
        return self._with_unknown(self.sizes)[self.image_rows]

    @cached_property
    def corners(self) -> np.ndarray:
        """p1..p4 in pixels, ``(N, 4, 2)``, NaN where ``keypoints`` is not twelve numbers.

        All NaN in plain COCO, whose keypoints mean something else.
        """
        if not self.is_parking:
            return np.full((len(self.annotations), 4, 2), np.nan)
        return self._corners[0].reshape(-1, 4, 3)[..., :2]

    @cached_property
    def unit(self) -> np.ndarray:
        """Pixels that are one pixel of a 600-pixel-high image, per annotation, ``(N,)``."""
        return self.box_sizes[:, 1] / 600

    @cached_property
    def metres_per_pixel(self) -> np.ndarray:
        """Ground resolution of each annotation's image, ``(N,)``, NaN if unknown."""
        scale = _scalars(self.images, 'metres_per_pixel')
        return self._with_unknown(np.where(scale > 0, scale, np.nan))[self.image_rows]

    @cached_property
    def points(self) -> np.ndarray:
        """Marking points in pixels, ``(P, 2)``, NaN where ``point`` is not two numbers."""
        return _numbers(self.marking_points, 'point', 2)[0]

    @cached_property
    def directions(self) -> np.ndarray:
        """Directions of the marking points, ``(P, 2)``, NaN where not two numbers."""
        return _numbers(self.marking_points, 'direction', 2)[0]

    @cached_property
    def point_image_rows(self) -> np.ndarray:
        """Row in ``images`` of each marking point, ``(P,)``, -1 for none."""
        return _rows(self.marking_points, 'image_id', self._image_of_id)

    @cached_property
    def point_sizes(self) -> np.ndarray:
        """Size of each marking point's image, ``(P, 2)``, NaN if unknown."""
        return self._with_unknown(self.sizes)[self.point_image_rows]

    @cached_property
    def slot_points(self) -> np.ndarray:
        """Rows of the marking points that p1 and p2 hang on, ``(N, 2)``, -1 for none named.

        -2 stands for an id that no marking point has.
        """
        row_of_id = _first_rows(self.marking_points)
        pairs = [_pair(entry.get('marking_point_ids')) for entry in self.annotations]
        row_of_id[None] = -1
        rows = [row_of_id.get(_hashable(name), -2) for name in chain.from_iterable(pairs)]
        return np.array(rows, np.int64).reshape(-1, 2)

    @property
    def names(self) -> list[str]:
        """Category names."""
        return [str(category.get('name')) for category in self.categories]

    def image_at(self, row: int) -> str:
        """Say which image a row is."""
        image = self.images[row]
        return f'images[{row}] (id {image.get("id")!r}, {image.get("file_name")})'

    def annotation_at(self, row: int) -> str:
        """Say which annotation a row is."""
        return self._entry_at('annotations', row, self.image_rows[row])

    def point_at(self, row: int) -> str:
        """Say which marking point a row is."""
        return self._entry_at('marking_points', row, self.point_image_rows[row])

    def _entry_at(self, key: str, row: int, image_row: int) -> str:
        entry = getattr(self, key)[row]
        image = f', {self.images[image_row].get("file_name")}' if image_row >= 0 else ''
        return f'{key}[{row}] (id {entry.get("id")!r}{image})'

    @cached_property
    def _boxes(self) -> tuple[np.ndarray, np.ndarray]:
        return _numbers(self.annotations, 'bbox', 4)

    @cached_property
    def _corners(self) -> tuple[np.ndarray, np.ndarray]:
        return _numbers(self.annotations, 'keypoints', 12)

    @cached_property
    def _image_of_id(self) -> dict:
        return _first_rows(self.images)

    @staticmethod
    def _with_unknown(values: np.ndarray) -> np.ndarray:
        """Append what row -1 stands for."""
        return np.concatenate([values, np.full((1, *values.shape[1:]), np.nan)])


def read_annotation_file(path: str | Path) -> AnnotationFile | Finding:
    """Read a COCO file whatever is wrong with its entries.

    Args:
        path: The JSON file.

    Returns:
        Its content, or why there is none.
    """
    path = Path(path)
    if not path.is_file():
        return Finding(
            ERROR,
            str(path.absolute()),
            'there is no such annotation file',
            'correct the path, in a config `data_root` and `ann_file`',
        )
    try:
        content = parse_json(path)
    except ValueError as error:  # of JSON as of its encoding
        return Finding(ERROR, str(path), f'it is no valid JSON: {error}', 'write the file again')
    if not isinstance(content, dict):
        return Finding(
            ERROR,
            str(path),
            f'it holds a JSON {type(content).__name__} instead of an object with `images`, '
            '`annotations` and `categories`',
            'convert the labels to COCO with tools/dataset/convert.py',
        )
    return _from_content(path, content)


def _from_content(path: Path, content: dict) -> AnnotationFile:
    lists = {key: content.get(key) for key in LISTS}
    no_lists = [key for key in LISTS[:3] if not isinstance(lists[key], list)]
    lists = {key: value if isinstance(value, list) else [] for key, value in lists.items()}
    objects = {key: [entry for entry in lists[key] if type(entry) is dict] for key in LISTS}
    strays = {key: len(lists[key]) - len(objects[key]) for key in LISTS}
    info = content.get('info')
    return AnnotationFile(
        path, info if isinstance(info, dict) else {}, **objects, no_lists=no_lists, strays=strays
    )


def ids(entries: Sequence[dict], key: str = 'id') -> list:
    """The ids of entries as dictionary keys; what cannot be a key is one by its text."""
    values = [entry.get(key) for entry in entries]
    if _KEYS.issuperset(map(type, values)):
        return values
    return [_hashable(value) for value in values]


def repeated(keys: Sequence) -> np.ndarray:
    """Mark the keys that stood in the sequence before, ``(N,)``; None does not count."""
    first = {}
    rows = [first.setdefault(key, row) for row, key in enumerate(keys)]
    is_none = np.array([key is None for key in keys], bool)
    return (np.array(rows, np.int64) != np.arange(len(rows))) & ~is_none


def _numbers(entries: Sequence[dict], key: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Read a column of number lists as ``(N, count)``, and which rows really hold one, ``(N,)``."""
    values = [entry.get(key) for entry in entries]
    formed = np.ones(len(values), bool)
    if not (
        {list}.issuperset(map(type, values))
        and {count}.issuperset(map(len, values))
        and _NUMBERS.issuperset(map(type, chain.from_iterable(values)))
    ):
        formed = np.array([_is_numbers(value, count) for value in values], bool)
        nothing = [np.nan] * count
        values = [value if good else nothing for value, good in zip(values, formed, strict=True)]
    flat = chain.from_iterable(values)
    column = np.fromiter(flat, np.float64, len(values) * count)
    return column.reshape(len(values), count), formed


def _is_numbers(value: object, count: int) -> bool:
    return type(value) is list and len(value) == count and _NUMBERS.issuperset(map(type, value))


def _hashable(value: object) -> object:
    return value if type(value) in _KEYS else repr(value)


def _first_rows(entries: Sequence[dict]) -> dict:
    rows = {}
    for row, name in enumerate(ids(entries)):
        if name is not None:
            rows.setdefault(name, row)
    return rows


def _rows(entries: Sequence[dict], key: str, row_of_id: dict) -> np.ndarray:
    return np.array([row_of_id.get(name, -1) for name in ids(entries, key)], np.int64)


def _scalars(entries: Sequence[dict], key: str) -> np.ndarray:
    values = (entry.get(key) for entry in entries)
    return np.array([v if type(v) in _NUMBERS else np.nan for v in values], np.float64)


def _pair(value: object) -> list:
    return value if type(value) is list and len(value) == 2 else [None, None]
