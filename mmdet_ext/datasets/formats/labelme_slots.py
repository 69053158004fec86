"""Reader of LabelMe JSON in which polygons of four points are slots and points are marking points."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdet_ext.datasets.formats.drawn_shapes import DrawnShape, DrawnShapeReader
from mmdet_ext.datasets.formats.label_files import locate_image, read_json, split_of_folder
from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage
from mmdet_ext.datasets.formats.reader import IMAGE_SUFFIXES, LeftOut, ReadReport, files_by_stem

_KINDS = {'polygon': 'polygon', 'rotation': 'polygon', 'point': 'points', 'points': 'points'}


@dataclass
class LabelMeSlotReader(DrawnShapeReader):
    """One JSON per image, as LabelMe and X-AnyLabeling write them.

    A polygon of four points is a slot if its label says so (see :func:`meaning_of`) or ``names`` maps
    it; a point is a marking point, of the shape that its label names (``T``, ``L-shape``). Occupancy
    and type stand in the label or in the shape's ``flags`` or ``attributes`` (``occupied: true``).
    The image is the one at ``imagePath`` or else the one beside the JSON that has its name; labels
    are in the frame of ``imageWidth`` and ``imageHeight``. A folder ``train``, ``val`` or ``test`` is
    the split.

    Attributes:
        root: Folder with the JSON files, searched with all folders below, or one of them.
        names: What labels stand for, e.g. ``[A:parallel, B:vacant, junction:T, car:ignore]``; see
            :class:`QuadrilateralReader`.
        entrance: Edge that is the entrance: 1 (between the first two points), 2, 3, 4 or
            ``nearest`` (to the centre of the image).
        metres_per_pixel: Ground resolution of the images, None if unknown.
    """

    def find(self, report: ReadReport) -> Sequence[Path]:
        """List the JSON files."""
        if self.root.is_file():
            return [self.root]
        labels = files_by_stem(self.root, ('.json',))
        if not labels:
            raise FileNotFoundError(
                f'{self.root.absolute()}: no json found; expected one LabelMe file per image.'
            )
        names = {path.stem for path in labels.values()}
        for image in files_by_stem(self.root, IMAGE_SUFFIXES).values():
            if image.stem not in names:
                report.add('image without json left out', self.relative(image))
        return list(labels.values())

    def read(self, item: Path, report: ReadReport) -> ParkingImage:
        """Read one image."""
        content = read_json(item)
        if not (isinstance(content, dict) and isinstance(content.get('shapes'), list)):
            raise LeftOut('json that is no LabelMe file', 'it has no list `shapes`')
        place = self.relative(item)
        shapes = [
            _shape(entry, report, f'{place}, shape {number}')
            for number, entry in enumerate(content['shapes'], 1)
        ]
        return self.record(
            locate_image(
                [str(content.get('imagePath') or ''), *(item.stem + s for s in IMAGE_SUFFIXES)],
                [item.parent],
            ),
            _frame(content),
            [shape for shape in shapes if shape],
            report,
            place,
            split_of_folder(Path(place).parent),
        )


def _frame(content: dict) -> tuple[float, float] | None:
    size = content.get('imageWidth'), content.get('imageHeight')
    return size if all(isinstance(value, int | float) for value in size) else None


def _shape(entry: object, report: ReadReport, place: str) -> DrawnShape | None:
    try:
        kind = entry.get('shape_type') or 'polygon'
        attributes = {**(entry.get('flags') or {}), **(entry.get('attributes') or {})}
        return DrawnShape(
            _KINDS.get(kind, str(kind)),
            str(entry.get('label')),
            tuple((float(x), float(y)) for x, y in entry['points']),
            tuple(attributes.items()),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        report.add('shape that cannot be read left out', place)
        return None
