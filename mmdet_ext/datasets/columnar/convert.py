"""COCO and parking-slot COCO to a columnar file."""

import mmap
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from mmdet_ext.datasets.columnar import coco, parking_slots
from mmdet_ext.datasets.columnar.coco_json import CocoJson
from mmdet_ext.datasets.formats.parking_slot_coco import read_parking_slot_coco

KINDS = (coco.KIND, parking_slots.KIND)

_MARKS_OF_PARKING_SLOTS = (b'"entrance_left"', b'"marking_points"')


@dataclass
class Conversion:
    """What was written.

    Attributes:
        kind: One of :data:`KINDS`.
        images: Number of images.
        left_out: Annotations that were left out, as no image has their ``image_id``.
    """

    kind: str
    images: int
    left_out: int = 0


def convert_json(source: str | Path, target: str | Path, kind: str | None = None) -> Conversion:
    """Convert one file, with a progress bar.

    Of a COCO file, memory holds about 40 bytes for each entry and the annotations of 8192 images; a
    parking-slot file is checked and therefore read as a whole.

    Args:
        source: The JSON file.
        target: Columnar file to write or replace, whole or not at all.
        kind: One of :data:`KINDS`. None: what the file looks like.

    Returns:
        What was written.

    Raises:
        FileNotFoundError: ``source`` is missing.
        ValueError: It is not valid.
        ImportError: pyarrow is missing.
    """
    source = Path(source)
    if not source.is_file():
        raise FileNotFoundError(f'{source.absolute()} not found; expected a COCO JSON file.')
    if (kind or _kind_of(source)) == parking_slots.KIND:
        content = read_parking_slot_coco(source)
        count = parking_slots.write_parking_slots(
            target, _tracked(content.images), content.labels, content.classes
        )
        return Conversion(parking_slots.KIND, count)
    content = CocoJson(source)
    try:
        count = coco.write_coco(target, _tracked(content), content.categories)
    except ValueError as error:
        raise ValueError(f'{source}: {error}') from error
    return Conversion(coco.KIND, count, content.left_out)


def _kind_of(source: Path) -> str:
    if not source.stat().st_size:  # cannot be mapped
        return coco.KIND
    with (
        source.open('rb') as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        marked = any(content.find(mark) >= 0 for mark in _MARKS_OF_PARKING_SLOTS)
    return parking_slots.KIND if marked else coco.KIND


def _tracked(records: Iterable | Sized) -> Iterator:
    return track(records, 'Writing', total=len(records), console=Console(stderr=True))
