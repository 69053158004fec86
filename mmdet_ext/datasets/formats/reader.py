"""What all readers share: where they look, what they leave out, and how they are run."""

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from PIL import Image, UnidentifiedImageError

from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage, write_parking_slot_coco

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')

_EXIF_ORIENTATION, _ON_THEIR_SIDE = 274, (5, 6, 7, 8)
_TURNED_BY_OPENCV = ('JPEG', 'MPO', 'PNG')

Record = TypeVar('Record')


class LeftOut(ValueError):  # noqa: N818 (a name that says what becomes of the image)
    """An image that cannot be used, raised by :meth:`Reader.read`.

    Args:
        reason: What is wrong, the same words for every image of this kind; they are counted.
        detail: What was found in this one.
    """

    def __init__(self, reason: str, detail: object = '') -> None:
        self.reason, self.detail = reason, str(detail)
        super().__init__(f'{reason}: {detail}' if self.detail else reason)


@dataclass
class ReadReport:
    """What a reader left out or found odd.

    Attributes:
        counts: How often each reason occurred.
        by_condition: The same per condition, keys ``(condition, reason)``.
        examples: The first case of each reason.
    """

    counts: Counter = field(default_factory=Counter)
    by_condition: Counter = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, example: str | Path, condition: str | None = None) -> None:
        """Count one case of ``reason`` and keep the first as an example."""
        self.counts[reason] += 1
        self.by_condition[condition, reason] += 1
        self.examples.setdefault(reason, str(example))

    def merge(self, other: 'ReadReport') -> None:
        """Add the cases of another report, which come after those of this one."""
        self.counts += other.counts
        self.by_condition += other.by_condition
        self.examples = other.examples | self.examples

    def lines(self) -> list[str]:
        """One sentence per reason: how many and the first case."""
        return [f'{n} {reason}, first {self.examples[reason]}' for reason, n in self.counts.items()]


@dataclass
class Reader(ABC, Generic[Record]):
    """Reader of one on-disk format: ``for record in SomeReader(root)``.

    The work is in two halves, so that it can be spread over processes and gone on with:
    :meth:`find` lists what there is to read, cheaply, and :meth:`read` turns one item into a record.
    A reader's options are the fields of its dataclass.

    Attributes:
        root: Folder (or file) of the data set; ``file_name`` of a record is relative to
            :attr:`folder`.
    """

    root: Path

    def __post_init__(self) -> None:
        self.root = Path(self.root)

    @property
    def folder(self) -> Path:
        """Folder that ``file_name`` of the records is relative to."""
        return self.root.parent if self.root.is_file() else self.root

    @abstractmethod
    def find(self, report: ReadReport) -> Sequence[Any]:
        """List the items to read, each small and picklable, in a fixed order.

        Args:
            report: Filled with what has no partner or cannot be an item.

        Raises:
            FileNotFoundError: There is nothing of this format at ``root``; the message says what
                was expected.
        """

    @abstractmethod
    def read(self, item: Any, report: ReadReport) -> Record:
        """Read one item.

        Args:
            item: One of :meth:`find`.
            report: Filled with the parts of the item that are left out.

        Raises:
            LeftOut: The whole image cannot be used.
        """

    def prepare_writing(self, records: Sequence[Record]) -> None:
        """See the records of all splits together, before the first :meth:`write`."""

    @abstractmethod
    def write(self, path: Path, records: Iterable[Record], description: str) -> None:
        """Write records as the COCO file that a config's ``ann_file`` names."""

    @staticmethod
    @abstractmethod
    def count(record: Record) -> dict[str, int]:
        """Number of labels by kind, for the summary."""

    def __iter__(self) -> Iterator[Record]:
        return self.iterate()

    def iterate(self, report: ReadReport | None = None) -> Iterator[Record]:
        """Read one by one; ``report`` is filled on the way."""
        report = ReadReport() if report is None else report
        for item in self.find(report):
            record = self.read_or_report(item, report)
            if record is not None:
                yield record

    def read_or_report(self, item: Any, report: ReadReport) -> Record | None:
        """Read one item; None, and a line in the report, if it cannot be used."""
        label, condition = self.label(item), self.condition(item)
        try:
            return self.read(item, report)
        except LeftOut as error:
            report.add(f'{error.reason} (image left out)', f'{label} ({error.detail})', condition)
        except UnidentifiedImageError:
            report.add('unreadable image (left out)', label, condition)
        except OSError as error:
            report.add('unreadable file (image left out)', f'{label} ({error})', condition)
        return None

    def condition(self, item: Any) -> str | None:
        """Evaluation subset of an item, which the report counts by."""
        return None

    def label(self, item: Any) -> str:
        """Name of an item for people, by default its (first) path relative to :attr:`folder`."""
        first = item[0] if isinstance(item, tuple) else item
        return self.relative(first) if isinstance(first, str | Path) else str(first)

    def relative(self, path: str | Path) -> str:
        """Path relative to :attr:`folder`, with forward slashes."""
        return Path(os.path.relpath(path, self.folder)).as_posix()


@dataclass
class ParkingReader(Reader[ParkingImage]):
    """Reader of a parking-slot format.

    Attributes:
        labels: Kinds of label (see ``LABEL_KINDS``) that are complete in this format.
        derived: Those of ``labels`` that are computed here, because the files lack them.
    """

    labels: ClassVar[tuple[str, ...]] = ()
    derived: ClassVar[tuple[str, ...]] = ()

    def write(self, path: Path, records: Iterable[ParkingImage], description: str) -> None:
        """Write parking-slot COCO; see :func:`write_parking_slot_coco`."""
        write_parking_slot_coco(path, records, self.labels, description, derived=self.derived)

    @staticmethod
    def count(record: ParkingImage) -> dict[str, int]:
        """Marking points and slots."""
        return {'points': len(record.points), 'slots': len(record.corners)}


def image_size(path: Path, as_loaded: bool = True) -> tuple[int, int]:
    """Width and height in pixels; reads the header only.

    Args:
        path: Image file.
        as_loaded: With the EXIF rotation, which OpenCV follows; else as the pixels are stored.

    Raises:
        OSError: The file is missing or no image (``UnidentifiedImageError``).
        LeftOut: The image has more pixels than Pillow opens.
    """
    try:
        with Image.open(path) as image:
            turned = as_loaded and image.format in _TURNED_BY_OPENCV and 'exif' in image.info
            orientation = image.getexif().get(_EXIF_ORIENTATION) if turned else None
            return image.size[::-1] if orientation in _ON_THEIR_SIDE else image.size
    except Image.DecompressionBombError as error:
        raise LeftOut('image too large for Pillow', error) from error


def files_by_stem(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Files below a folder by their relative path without suffix, sorted.

    Args:
        folder: Searched with all folders below.
        suffixes: Endings in lower case, such as ``.jpg``.

    Returns:
        For two files of one stem the one whose suffix stands first in ``suffixes``.
    """
    found: dict[str, tuple[int, str]] = {}
    for place, _, names in os.walk(folder):  # strings: a Path per file takes 10 times as long
        inside = os.path.relpath(place, folder).replace(os.sep, '/')
        prefix = '' if inside == '.' else f'{inside}/'
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in suffixes:
                entry = suffixes.index(suffix.lower()), os.path.join(place, name)
                found[prefix + stem] = min(found.get(prefix + stem, entry), entry)
    return {stem: Path(path) for stem, (_, path) in sorted(found.items())}
