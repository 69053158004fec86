"""Reader of PIL-park, also called SNU or Seoul: half surround views with slots and occupancy.

Do and Choi, Context-Based Parking Slot Detection With a Realistic Dataset, 2020.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmdet_ext.datasets.formats.label_files import (
    image_and_label_folders,
    read_text,
    split_of_label,
)
from mmdet_ext.datasets.formats.parking_slot_coco import SLOT_TYPES, ParkingImage
from mmdet_ext.datasets.formats.quadrilaterals import (
    Quadrilateral,
    border_flags,
    checked_slots,
)
from mmdet_ext.datasets.formats.reader import (
    IMAGE_SUFFIXES,
    LeftOut,
    ParkingReader,
    ReadReport,
    files_by_stem,
    image_size,
)

NO_SLOTS = 3
"""Parking-space type of an image without slots."""

_TYPES = tuple(SLOT_TYPES.index(name) for name in ('parallel', 'perpendicular', 'slanted'))
_METRES_PER_PIXEL = {(256, 768): 0.01875, (256, 512): 10 / 600}  # PIL-park, ps2.0_convert


@dataclass
class PilParkReader(ParkingReader):
    """Images and labels of the folders ``image`` and ``label``, also those of ``ps2.0_convert``.

    A label is a txt: the parking-space type of all slots (0 parallel, 1 perpendicular, 2 diagonal,
    3 no parking space), the angle of their separators (not needed here), then one slot per line as
    ``occupied x1 y1 .. x4 y4``, entrance first. The authors' own flip reads the coordinates as
    0-based pixels. Rear corners on the image border are where the slot was cut off: they are kept and
    flagged hidden. ``split`` is the folder above, ``train`` or ``test``; the ground resolution
    follows from the image size (1.875 cm for 256 x 768).

    Attributes:
        root: Folder that holds ``train`` and ``test``, or one of them.
    """

    labels = ('slots', 'occupancy')

    def find(self, report: ReadReport) -> Sequence[tuple[Path, Path]]:
        """List pairs of image and txt."""
        expected = 'PIL-park, e.g. train/image/1.jpg and train/label/1.txt'
        folders = image_and_label_folders(self.root, expected)
        return [pair for folder in folders for pair in self._pairs(folder, report)]

    def _pairs(self, folder: Path, report: ReadReport):
        labels = files_by_stem(folder / 'label', ('.txt',))
        for stem, image in files_by_stem(folder / 'image', IMAGE_SUFFIXES).items():
            if stem in labels:
                yield image, labels.pop(stem)
            else:
                report.add('image without txt left out', self.relative(image))
        for label in labels.values():
            report.add('txt without image left out', self.relative(label))

    def read(self, item: tuple[Path, Path], report: ReadReport) -> ParkingImage:
        """Read one image."""
        image, label = item
        size = image_size(image)
        place, metres_per_pixel = self.relative(label), _METRES_PER_PIXEL.get(size)
        slots = _read_slots(label, size, report, place)
        return ParkingImage(
            file_name=self.relative(image),
            width=size[0],
            height=size[1],
            metres_per_pixel=metres_per_pixel,
            split=split_of_label(label),
            **checked_slots(slots, size, report, place, metres_per_pixel=metres_per_pixel),
        )


def _read_slots(
    label: Path, size: tuple[int, int], report: ReadReport, place: str
) -> list[Quadrilateral]:
    lines = [re.findall(r'[^\s,;]+', line) for line in read_text(label).splitlines()]
    lines = [line for line in lines if line]
    header = [' '.join(line) for line in lines[:2]]
    space_type = int(header[0]) if header and header[0] in {'0', '1', '2', '3'} else None
    if space_type is None or len(lines[:2][-1]) != 1:
        raise LeftOut(
            'txt that does not begin with a parking-space type (0 .. 3) and an angle', header
        )
    slots = []
    for line in lines[2:]:
        if space_type == NO_SLOTS:
            report.add('slot of an image labelled "not a parking space" left out', place)
            continue
        values = _numbers(line)
        if len(values) != 9:
            report.add('line without nine numbers left out', f'{place} ({" ".join(line)})')
            continue
        corners = values[1:].reshape(4, 2)
        occupied = int(values[0]) if values[0] in (0, 1) else -1
        if occupied < 0:
            report.add('slot with an occupancy other than 0 and 1 (kept as unknown)', place)
        flags = border_flags(corners, size)
        slots.append(Quadrilateral(corners, _TYPES[space_type], occupied, flags))
    return slots


def _numbers(words: list[str]) -> np.ndarray:
    """Values of a line; empty if one is no number."""
    try:
        return np.array([float(word) for word in words])
    except ValueError:
        return np.zeros(0)
