"""Reader of "CVAT for images 1.1": polygons of four points are slots and points are marking points."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from mmdet_ext.datasets.formats.drawn_shapes import DrawnShape, DrawnShapeReader
from mmdet_ext.datasets.formats.label_files import locate_image, split_name
from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage
from mmdet_ext.datasets.formats.reader import ReadReport, files_by_stem


class CvatImage(NamedTuple):
    """One ``image`` element.

    Attributes:
        file: The XML.
        name: Name of the image.
        frame: Width and height, None if not given.
        subset: The subset of its task.
        shapes: What was drawn on it.
    """

    file: Path
    name: str
    frame: tuple[float, float] | None
    subset: str
    shapes: tuple[DrawnShape, ...]


@dataclass
class CvatReader(DrawnShapeReader):
    """Exports of tasks, jobs and projects, with or without their images.

    A polygon of four points is a slot if its label says so (see :func:`meaning_of`) or ``names`` maps
    it; points are marking points, of the shape that the label or an attribute names (``T``,
    ``L-shape``). Occupancy and type stand in the label or in attributes (``occupied``, ``type``).
    ``split`` is the subset of the task: ``train``, ``val`` and ``test`` in any spelling, other names
    as they are, none for ``default``.

    Attributes:
        root: ``annotations.xml``, or a folder with such files in it or below.
        image_folder: Folder of the images; by default they are looked for beside the XML and in
            ``images`` there, with and without a folder named as the subset.
        names: What labels stand for, e.g. ``[A:parallel, B:vacant, car:ignore]``; see
            :class:`QuadrilateralReader`.
        entrance: Edge that is the entrance: 1 (between the first two points), 2, 3, 4 or
            ``nearest`` (to the centre of the image).
        metres_per_pixel: Ground resolution of the images, None if unknown.
    """

    image_folder: Path | str | None = None

    def find(self, report: ReadReport) -> Sequence[CvatImage]:
        """List the images with what was drawn on them; reads the XML files."""
        files = [self.root] if self.root.is_file() else files_by_stem(self.root, ('.xml',)).values()
        if not files:
            raise FileNotFoundError(
                f'{self.root.absolute()}: no xml found; expected an export as "CVAT for images 1.1", '
                'e.g. annotations.xml.'
            )
        found = []
        for file in files:
            try:
                annotations = ElementTree.parse(file).getroot()
            except ElementTree.ParseError as error:
                report.add('broken xml (its images left out)', f'{self.relative(file)} ({error})')
                continue
            if annotations.find('image') is None:
                report.add(
                    'xml without images left out (export as "CVAT for images 1.1")',
                    self.relative(file),
                )
            found += _images(file, annotations)
        return found

    def read(self, item: CvatImage, report: ReadReport) -> ParkingImage:
        """Read one image."""
        image = locate_image([item.name], self._folders(item))
        return self.record(
            image, item.frame, item.shapes, report, self.label(item), _split(item.subset)
        )

    def label(self, item: CvatImage) -> str:
        """XML and name of the image."""
        return f'{self.relative(item.file)}: {item.name}'

    def _folders(self, item: CvatImage) -> list[Path]:
        here = item.file.parent
        tops = [Path(self.image_folder)] if self.image_folder else [here / 'images', here]
        return [top / subset for top in tops for subset in dict.fromkeys((item.subset, ''))]


def _split(subset: str) -> str | None:
    return None if subset.lower() in ('', 'default') else split_name(subset) or subset


def _images(file: Path, annotations: ElementTree.Element) -> Iterator[CvatImage]:
    subsets = {
        element.findtext('id'): element.findtext('subset') or ''
        for kind in ('task', 'job')
        for element in annotations.iter(kind)
    }
    only = next(iter(subsets.values())) if len(subsets) == 1 else ''
    for image in annotations.iter('image'):
        subset = image.get('subset') or subsets.get(image.get('task_id'), only)
        size = _number(image.get('width')), _number(image.get('height'))
        frame = size if np.isfinite(size).all() else None
        shapes = tuple(_shape(element) for element in image)
        yield CvatImage(file, image.get('name', ''), frame, subset.strip(), shapes)


def _shape(element: ElementTree.Element) -> DrawnShape:
    """One drawn shape; a coordinate that cannot be read becomes NaN, and the slot is left out."""
    points = [point.split(',') for point in element.get('points', '').split(';') if point.strip()]
    return DrawnShape(
        element.tag,
        element.get('label', ''),
        tuple(
            (_number(point[0]), _number(point[1] if len(point) == 2 else '')) for point in points
        ),
        tuple((a.get('name', ''), a.text or '') for a in element.iter('attribute')),
    )


def _number(text: str | None) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return float('nan')
