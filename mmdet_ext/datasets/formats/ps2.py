"""Reader of Tongji ps2.0: surround views of 10 m x 10 m with marks and slots in MATLAB files.

Zhang et al., Vision-based parking-slot detection: a DCNN-based approach and a large-scale benchmark
dataset, 2018.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmdet_ext.datasets.formats.marks_and_slots import (
    Labelled,
    Labels,
    MarksAndSlotsReader,
    Note,
    load_mat,
    mean_separators,
    number_rows,
    pair_files,
    read_slots,
    split_of,
    stems_below,
)
from mmdet_ext.datasets.formats.reader import IMAGE_SUFFIXES, ParkingReader, ReadReport

SPLITS = {'training': 'train', 'testing': 'test'}
_SEQUENCE = re.compile(r'(\d{8}-\d+)-\d+')


@dataclass
class Ps2Reader(MarksAndSlotsReader):
    """Images of ``training`` and ``testing``, each with its slots, empty ones too.

    ``testing/all`` repeats the images of the other folders below ``testing``: each is read once, and
    the folder beside ``all`` that holds it is its condition. The files have no directions: a mark's
    is the mean separator direction of its slots. ``group`` is the date and drive in the name.

    Attributes:
        root: Folder that holds ``training`` and ``testing``, or one of them.
        label_size: Side in pixels of the square frame that the labels are in; 0: that of each image.
        metres: Height of the ground that an image shows, in metres; 0: unknown.
    """

    label_size: int = 600
    metres: float = 10

    labels = ('marking_points', 'directions', 'slots')
    derived = ('directions',)

    def find(self, report: ReadReport) -> Sequence[Labelled]:
        """List pairs of image and mat file."""
        mats = stems_below(self.root, ('.mat',), SPLITS)
        if not mats:
            raise FileNotFoundError(
                f'{self.root.absolute()}: no mat file found; expected ps2.0 with the folders '
                '`training` and `testing`, e.g. training/20160725-3-1.jpg and 20160725-3-1.mat.'
            )
        labels = {stem.removeprefix('annotations/'): path for stem, path in mats.items()}
        return find_as_ps2(labels, stems_below(self.root, IMAGE_SUFFIXES, SPLITS), self, report)

    def read_labels(self, path: Path, frame: tuple[int, int], note: Note) -> Labels:
        """Read a mat file."""
        return read_mat_labels(path, frame, note)


def read_mat_labels(path: Path, frame: tuple[int, int], note: Note) -> Labels:
    """Read marks and slots of a mat file; directions are derived from the slots.

    Args:
        path: The file: ``marks``, N x 2, and ``slots``, M x 4.
        frame: Width and height of the frame that it is in.
        note: Called for what is left out or odd.

    Raises:
        LeftOut: The file cannot be used.
    """
    content = load_mat(path)
    points = number_rows(content['marks'], 2, 'mark', note, more=True) - 1
    slots = read_slots(content['slots'], points, frame, note)
    directions = mean_separators(len(points), slots, note)
    return Labels(points, directions, np.full(len(points), -1), slots)


def find_as_ps2(
    labels: Mapping[str, Path],
    images: Mapping[str, Path],
    reader: ParkingReader,
    report: ReadReport,
) -> list[Labelled]:
    """Pair labels and images in folders named as those of ps2.0, each test image once.

    Args:
        labels: Label files by stem.
        images: Image files by stem.
        reader: Whose root the report's paths are relative to.
        report: Filled with what has no partner.
    """
    conditions = _conditions(dict.fromkeys([*labels, *images]), report)

    def condition(stem: str) -> str | None:
        folder, name = _in_testing(stem) or (None, None)
        return conditions.get(name) if folder == 'all' else folder

    pairs = pair_files(_once(labels), _once(images), reader, report, condition=condition)
    items = []
    for stem, (image, label) in pairs.items():
        if conditions and _in_testing(stem) and condition(stem) is None:
            report.add('test image in no condition folder (kept)', reader.relative(image))
        items.append(
            Labelled(image, label, split_of(stem, SPLITS), condition(stem), sequence_of(stem))
        )
    return items


def sequence_of(stem: str) -> str | None:
    """Date and drive that a name such as ``20160725-3-1`` begins with."""
    match = _SEQUENCE.fullmatch(stem.rpartition('/')[2])
    return match and match[1]


def _in_testing(stem: str) -> tuple[str, str] | None:
    """Folder of a file below ``testing``, and the name that it has in ``all`` too."""
    before, found, after = f'/{stem}'.rpartition('/testing/')
    folder, _, name = after.partition('/')
    return (folder, f'{before}/{name}') if found and name else None


def _conditions(stems: Iterable[str], report: ReadReport) -> dict[str, str]:
    """Condition folder of each image of ``testing/all``."""
    places = [place for place in map(_in_testing, stems) if place]
    in_all = {name for folder, name in places if folder == 'all'}
    found: dict[str, str] = {}
    for folder, name in places:
        if folder != 'all' and name in in_all and found.setdefault(name, folder) != folder:
            report.add(
                'test image in two condition folders (the first is its condition)',
                f'{name.rpartition("/")[2]} in {found[name]} and {folder}',
            )
    return found


def _once(files: Mapping[str, Path]) -> dict[str, Path]:
    """Leave out of the condition folders what ``testing/all`` holds."""
    places = {stem: _in_testing(stem) for stem in files}
    in_all = {place[1] for place in places.values() if place and place[0] == 'all'}
    return {
        stem: path
        for stem, path in files.items()
        if not (place := places[stem]) or place[0] == 'all' or place[1] not in in_all
    }
