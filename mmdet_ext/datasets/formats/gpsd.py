"""Reader of GPSD: PIL-park and ps2.0 half views converted to one JSON per image.

Repository huapohen/general_parking_slot_detection, 2022.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmdet_ext.datasets.formats.label_files import (
    image_and_label_folders,
    read_json,
    read_text,
    split_of_label,
)
from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage
from mmdet_ext.datasets.formats.quadrilaterals import (
    Quadrilateral,
    border_flags,
    checked_slots,
    scale_to_image,
)
from mmdet_ext.datasets.formats.reader import (
    IMAGE_SUFFIXES,
    LeftOut,
    ParkingReader,
    ReadReport,
    files_by_stem,
    image_size,
)

_LIST = 'img_list.txt'


@dataclass
class GpsdReader(ParkingReader):
    """Images and labels of the folders ``image`` and ``label``, those of ``img_list.txt`` if there.

    A label holds ``isOccupied``, ``points_x`` and ``points_y`` (four per slot, entrance first) in the
    frame of ``resolution`` (height, width). It has no slot type: that is guessed from the shape.
    Corners on the image border are where a slot was cut off: the rear ones are flagged hidden.
    ``split`` is the folder above (``train`` or ``test``), ``condition`` the ``datasetName`` (``seoul``
    or ``tongji``), the tag ``side`` the ``subimgType``.

    Attributes:
        root: Folder that holds the sets (``seoul``, ``tongji``), or one of them.
    """

    labels = ('slots', 'occupancy')

    def find(self, report: ReadReport) -> Sequence[tuple[Path, Path]]:
        """List pairs of image and JSON."""
        expected = 'GPSD, e.g. seoul/train/image/1.jpg and seoul/train/label/1.json'
        folders = image_and_label_folders(self.root, expected)
        return [pair for folder in folders for pair in self._pairs(folder, report)]

    def _pairs(self, folder: Path, report: ReadReport):
        labels = files_by_stem(folder / 'label', ('.json',))
        listed = set(read_text(folder / _LIST).split()) if (folder / _LIST).is_file() else None
        for stem, image in files_by_stem(folder / 'image', IMAGE_SUFFIXES).items():
            label = labels.pop(stem, None)
            # The makers' list holds stems up to their first full stop.
            if listed is not None and listed.isdisjoint({stem, stem.split('.')[0]}):
                report.add(f'image that {_LIST} does not name left out', self.relative(image))
            elif label is None:
                report.add('image without json left out', self.relative(image))
            else:
                yield image, label
        for label in labels.values():
            report.add('json without image left out', self.relative(label))

    def read(self, item: tuple[Path, Path], report: ReadReport) -> ParkingImage:
        """Read one image."""
        image, label = item
        size, content = image_size(image), read_json(label)
        if not isinstance(content, dict):
            raise LeftOut('json that is no GPSD label', f'a {type(content).__name__}')
        frame = _frame(content)
        resolution = _number(content.get('cmPerPixel'))
        metres_per_pixel = None
        if resolution is not None:
            metres_per_pixel = resolution / 100 * (frame[0] / size[0] if frame else 1)
        condition = str(content.get('datasetName') or '') or None
        place = self.relative(label)
        slots = _read_slots(content, frame, size, report, place, condition)
        side = content.get('subimgType')
        return ParkingImage(
            file_name=self.relative(image),
            width=size[0],
            height=size[1],
            metres_per_pixel=metres_per_pixel,
            condition=condition,
            split=split_of_label(label),
            tags={'side': str(side)} if side else {},
            **checked_slots(
                slots,
                size,
                report,
                place,
                condition=condition,
                metres_per_pixel=metres_per_pixel,
            ),
        )


def _frame(content: dict) -> tuple[float, float] | None:
    """Width and height that were labelled."""
    resolution = content.get('resolution')
    if resolution is None:
        return None
    size = [_number(value) for value in resolution] if isinstance(resolution, list) else []
    if len(size) != 2 or None in size:
        raise LeftOut('json with a resolution other than [height, width]', resolution)
    return size[1], size[0]


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and np.isfinite(value) and value > 0
    return float(value) if is_number else None


def _read_slots(
    content: dict,
    frame: tuple[float, float] | None,
    size: tuple[int, int],
    report: ReadReport,
    place: str,
    condition: str | None,
) -> list[Quadrilateral]:
    xs, ys = (_rows(content.get(key, [])) for key in ('points_x', 'points_y'))
    occupancy = content.get('isOccupied', [])
    occupancy = occupancy if isinstance(occupancy, list) else [occupancy]
    if not len(xs) == len(ys) == len(occupancy):
        raise LeftOut(
            'json whose isOccupied, points_x and points_y differ in length',
            f'{len(occupancy)}, {len(xs)} and {len(ys)}',
        )
    slots = []
    for x, y, occupied in zip(xs, ys, occupancy, strict=True):
        try:
            corners = np.array([x, y], dtype=np.float64).T.reshape(4, 2)
        except (TypeError, ValueError):
            report.add('slot without four x and y left out', f'{place} ({x}, {y})', condition)
            continue
        if occupied not in (0, 1):
            report.add(
                'slot with an occupancy other than 0 and 1 (kept as unknown)', place, condition
            )
        flags = border_flags(corners, frame or size)
        corners = scale_to_image(corners, frame, size)
        slots.append(
            Quadrilateral(corners, None, int(occupied) if occupied in (0, 1) else -1, flags)
        )
    return slots


def _rows(values: object) -> list:
    """One list per slot; a single slot may come as a flat list of its numbers."""
    if not isinstance(values, list):
        raise LeftOut('json whose points are no list', values)
    return [values] if values and not isinstance(values[0], list) else values
