"""DMPR-PS: reader and writer of its JSON labels, and reader of what it makes of them for training.

Huang et al., DMPR-PS: A Novel Approach for Parking-Slot Detection Using Directional Marking-Point
Regression, 2019.
"""

import functools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from mmdet_ext.datasets.formats.marks_and_slots import (
    ACUTE,
    OBTUSE,
    REFERENCE_HEIGHT,
    RIGHT,
    SLANTED,
    Labelled,
    Labels,
    MarksAndSlotsReader,
    MarksReader,
    Note,
    arms,
    load_json,
    load_label,
    number_rows,
    pair_files,
    read_slots,
    shape_labels,
    split_of,
    stems_below,
)
from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage
from mmdet_ext.datasets.formats.ps2 import SPLITS, find_as_ps2, sequence_of
from mmdet_ext.datasets.formats.reader import IMAGE_SUFFIXES, ReadReport
from mmdet_ext.structures.slots import assemble_corners, interior_angle, separator
from mmdet_ext.utils.files import write_whole

_PREPARED_SPLITS = {'train': 'train', 'val': 'val', 'test': 'test'}
_ARM = 50
"""Distance in pixels of 600 from a mark to its second point as written."""

_TOLERANCE = 0.01
"""Pixels that a corner may be off when it is read again without being counted."""

_ROTATIONS = frozenset(map(str, range(5, 360, 5)))


@dataclass
class DmprReader(MarksAndSlotsReader):
    """Images with one JSON each: positions, directions and shapes of marks, and slots.

    The folders of ``ps_json_label`` and ps2.0 give split, condition and group, as :class:`Ps2Reader`
    does; in others these are unknown.

    Attributes:
        root: Folder that holds the JSON files, at any depth.
        label_size: Side in pixels of the square frame that the labels are in; 0: that of each image.
        metres: Height of the ground that an image shows, in metres (10 for ps2.0); 0: unknown.
        image_root: Folder with the images, at the paths that the JSON files have below ``root``;
            empty: beside the JSON files.
    """

    image_root: Path | str = ''

    labels = ('marking_points', 'directions', 'shapes', 'slots')

    def find(self, report: ReadReport) -> Sequence[Labelled]:
        """List pairs of image and JSON."""
        labels = stems_below(self.root, ('.json',), SPLITS)
        if not labels:
            raise FileNotFoundError(
                f'{self.root.absolute()}: no JSON file found; expected the labels of DMPR-PS, e.g. '
                'ps_json_label/training/20160725-3-1.json.'
            )
        image_root = Path(self.image_root) if self.image_root else self.root
        images = stems_below(image_root, IMAGE_SUFFIXES, SPLITS)
        if not images:
            raise FileNotFoundError(
                f'{image_root.absolute()}: no image found; set the option image_root to the folder that '
                'holds the images at the same relative paths as the labels, e.g. ps2.0.'
            )
        return find_as_ps2(labels, images, self, report)

    def read_labels(self, path: Path, frame: tuple[int, int], note: Note) -> Labels:
        """Read a JSON."""
        return read_dmpr_labels(path, frame, note)


def read_dmpr_labels(path: Path, frame: tuple[int, int], note: Note) -> Labels:
    """Read a JSON with marks ``[x, y, x2, y2, shape]`` and slots ``[i, j, type, angle]``.

    Args:
        path: The file.
        frame: Width and height of the frame that it is in.
        note: Called for what is left out or odd.

    Raises:
        LeftOut: The file cannot be used.
    """
    content = load_label(path)
    marks = number_rows(content['marks'], 5, 'mark', note)
    points = marks[:, :2] - 1
    directions = arms(points, marks[:, 2:4] - 1, note)
    slots = read_slots(content['slots'], points, frame, note)
    return Labels(points, directions, shape_labels(marks[:, 4], note), slots)


@dataclass
class DmprPreparedReader(MarksReader):
    """Images as ``prepare_dataset.py`` of DMPR-PS leaves them, rotated copies too, with points only.

    The JSON beside ``20160725-3-1_45.jpg`` lists rows ``[x, y, direction, shape]`` with x and y in 0..1 and
    the direction in radians. That script puts rotated copies of one image into ``train`` and ``val``
    alike, which is counted; ``group`` is the same for all copies, so other splits keep them together.

    Attributes:
        root: Folder that holds ``train``, ``val`` and ``test``, or one of them.
        metres: Height of the ground that an image shows, in metres (10 for ps2.0); 0: unknown.
    """

    labels = ('marking_points', 'directions', 'shapes')

    def find(self, report: ReadReport) -> Sequence[Labelled]:
        """List pairs of image and JSON."""
        labels = stems_below(self.root, ('.json',), _PREPARED_SPLITS)
        if not labels:
            raise FileNotFoundError(
                f'{self.root.absolute()}: no JSON file found; expected what prepare_dataset.py of DMPR-PS '
                'writes, e.g. train/20160725-3-1_45.jpg and .json.'
            )
        images = stems_below(self.root, IMAGE_SUFFIXES, _PREPARED_SPLITS)
        pairs = pair_files(labels, images, self, report)
        originals = {stem: _original_of(stem) for stem in pairs}
        splits = {stem: split_of(stem, _PREPARED_SPLITS) for stem in pairs}
        trained = {originals[stem] for stem, split in splits.items() if split == 'train'}
        for stem, (image, _) in pairs.items():
            if splits[stem] == 'val' and originals[stem] in trained:
                report.add('val image that train has in another rotation', self.relative(image))
        return [
            Labelled(*pair, splits[stem], group=sequence_of(originals[stem]) or originals[stem])
            for stem, pair in pairs.items()
        ]

    def read_labels(self, path: Path, frame: tuple[int, int], note: Note) -> Labels:
        """Read a JSON list."""
        marks = number_rows(load_json(path), 4, 'mark', note)
        return Labels(
            marks[:, :2] * frame - 0.5,
            np.stack([np.cos(marks[:, 2]), np.sin(marks[:, 2])], -1),
            shape_labels(marks[:, 3], note),
        )


def _original_of(stem: str) -> str:
    """Name of the image that a rotated copy ``NAME_ANGLE`` is of; its own if it is no copy."""
    name = stem.rpartition('/')[2]
    original, _, angle = name.rpartition('_')
    return original if angle in _ROTATIONS and original else name


def write_dmpr(folder: str | Path, records: Iterable[ParkingImage]) -> ReadReport:
    """Write one raw JSON per image, which :class:`DmprReader` and the tools of DMPR-PS read.

    Coordinates are those of the image, counted from 1; numbers are written in full. The second point
    of a mark stands on its direction. Marks whose direction is unknown or whose shape is neither T
    nor L, and slots without two written marks, cannot be written. Slots keep their entrance and
    angle only: what a reader makes differently of them is counted, as is occupancy. Groups, tags
    and the like have no place in the format.

    Args:
        folder: Folder to write to, to the path that ``file_name`` of a record gives.
        records: What to write.

    Returns:
        How often what could not be written or comes out differently.

    Raises:
        ValueError: ``file_name`` leads out of ``folder``, or two images would share a JSON.
    """
    report, written = ReadReport(), set()
    for record in records:
        name = PurePosixPath(record.file_name).with_suffix('.json')
        if name.is_absolute() or '..' in name.parts:
            raise ValueError(
                f'file_name {record.file_name!r} leads out of {folder}; give the records paths relative '
                'to the folder of the images.'
            )
        if name in written:
            raise ValueError(
                f'{record.file_name!r}: another image is written to {name} too; give them different '
                'names, not only different suffixes.'
            )
        written.add(name)
        note = functools.partial(_note, report, record)
        write_whole(Path(folder, name), json.dumps(dmpr_label(record, note), allow_nan=False))
    return report


def _note(report: ReadReport, record: ParkingImage, reason: str, detail: object) -> None:
    report.add(reason, f'{record.file_name} ({detail})', record.condition)


def dmpr_label(record: ParkingImage, note: Note) -> dict[str, list]:
    """Content of the raw JSON of an image, see :func:`write_dmpr`."""
    carried = np.isin(record.shapes, (0, 1)) & np.isfinite(record.directions).all(-1)
    for i in np.flatnonzero(~carried):
        known = np.isin(record.shapes[i], (0, 1))
        what = 'an unknown direction' if known else 'a shape other than T and L'
        note(f'marking point with {what} left out', f'point {i}')
    points, directions = record.points[carried], record.directions[carried]
    ends = points + _ARM * record.height / REFERENCE_HEIGHT * directions
    numbers = np.where(carried, np.cumsum(carried), 0)
    slots = [_slot_row(record, i, numbers, points, note) for i in range(len(record.corners))]
    return {
        'marks': np.column_stack([points + 1, ends + 1, record.shapes[carried]]).tolist(),
        'slots': [slot for slot in slots if slot],
    }


def _slot_row(
    record: ParkingImage, i: int, numbers: np.ndarray, points: np.ndarray, note: Note
) -> list | None:
    """Row of a slot; None if the format cannot carry it."""
    ends = np.array([numbers[row] if row >= 0 else 0 for row in record.slot_points[i]])
    if not ends.all():
        note('slot without two written marks left out', f'slot {i}')
        return None
    corners, slot_type = record.corners[i], record.slot_types[i]
    direction, _ = separator(corners)
    quad = assemble_corners(corners[0], corners[1], direction, np.array(1.0))
    angle = round(float(np.degrees(interior_angle(quad))), 9)  # 67, not 67.00000000000001
    kind = RIGHT if slot_type != SLANTED else ACUTE if angle <= 90 else OBTUSE
    row = [*ends.tolist(), kind, angle]
    again = read_slots([row], points, (record.width, record.height), _silent)
    if not len(again.types):
        note('slot that no reader takes left out', f'slot {i}: {row}')
        return None
    if again.types[0] != slot_type:
        note('slot that readers give another type', f'slot {i}')
    if np.abs(again.corners[0] - corners).max() > _TOLERANCE:
        note('slot whose corners readers put elsewhere', f'slot {i}')
    if record.occupied[i] >= 0:
        note('slot whose occupancy is lost', f'slot {i}')
    return row


def _silent(*_: object) -> None:
    """Note nothing."""
