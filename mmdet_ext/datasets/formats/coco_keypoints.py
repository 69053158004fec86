"""Reader of COCO keypoints from other tools: objects with four keypoints are slots."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmdet_ext.datasets.formats.label_files import locate_image, read_json, split_name
from mmdet_ext.datasets.formats.parking_slot_coco import KEYPOINTS, ParkingImage
from mmdet_ext.datasets.formats.quadrilaterals import (
    Quadrilateral,
    QuadrilateralReader,
    checked_slots,
    scale_to_image,
)
from mmdet_ext.datasets.formats.reader import LeftOut, ReadReport, files_by_stem, image_size
from mmdet_ext.datasets.formats.slot_names import Meaning, attribute_meaning


class Category(NamedTuple):
    """A category that slots can have.

    Attributes:
        name: Its name.
        order: Rows of its keypoints in the order p1 p2 p3 p4.
    """

    name: str
    order: tuple[int, ...]


class CocoImage(NamedTuple):
    """One entry of ``images`` with what was annotated on it.

    Attributes:
        file: The JSON.
        name: ``file_name``.
        frame: Width and height, None if not given.
        annotations: Category and annotation of each object.
    """

    file: Path
    name: str
    frame: tuple[float, float] | None
    annotations: tuple[tuple[Category, dict], ...]


@dataclass
class CocoKeypointsReader(QuadrilateralReader):
    """JSON files with ``images``, ``categories`` and ``annotations`` whose ``keypoints`` are 4 corners.

    The type, and the occupancy, of a slot follow from the name of its category (or from ``names``)
    and from ``occupied`` or ``attributes`` of the annotation; a name that says nothing leaves the
    type to be guessed from the shape. The order of the corners is that of the category's keypoint
    names where these are ours (``entrance_left``, ``entrance_right``, ``rear_right``, ``rear_left``)
    or numbered (``p1`` .. ``p4``), else as they stand. Crowds are left out. ``split`` is what the name
    of the JSON says, such as ``instances_train.json``.

    Attributes:
        root: The JSON, or a folder with JSON files in it.
        image_folder: Folder of the images; by default they are looked for beside the JSON and above,
            there and in ``images``, with and without a folder named as the JSON or its split.
        names: What category names stand for, e.g. ``[A:parallel, B:vacant, car:ignore]``; see
            :class:`QuadrilateralReader`.
        entrance: Edge that is the entrance, for corners in another order: 1 (between the first two
            corners), 2, 3, 4 or ``nearest`` (to the centre of the image).
        metres_per_pixel: Ground resolution of the images, None if unknown.
    """

    image_folder: Path | str | None = None

    def find(self, report: ReadReport) -> Sequence[CocoImage]:
        """List the images with their annotations; reads the JSON files."""
        files = (
            [self.root] if self.root.is_file() else files_by_stem(self.root, ('.json',)).values()
        )
        found = [image for file in files for image in self._images(file, report)]
        if not found:
            raise FileNotFoundError(
                f'{self.root.absolute()}: no COCO json with `images`, `categories` and `annotations` '
                f'found{"; " if report.counts else ""}{"; ".join(report.lines())}.'
            )
        return found

    def _images(self, file: Path, report: ReadReport) -> Iterator[CocoImage]:
        place = self.relative(file)
        try:
            content = read_json(file)
        except LeftOut as error:
            report.add('broken json (its images left out)', f'{place} ({error.detail})')
            return
        lists = [
            content.get(key) if isinstance(content, dict) else None
            for key in ('images', 'categories', 'annotations')
        ]
        if not all(isinstance(entries, list) for entries in lists):
            report.add('json that is no COCO file left out', place)
            return
        images, categories, annotations = (
            [e for e in entries if isinstance(e, dict)] for entries in lists
        )
        known = {c.get('id'): _category(c, report, place) for c in categories}
        objects: dict[object, list] = {image.get('id'): [] for image in images}
        for annotation in annotations:
            category, where = known.get(annotation.get('category_id')), annotation.get('image_id')
            example = f'{place}, annotation {annotation.get("id")}'
            if where not in objects:
                report.add('annotation of an image that is not listed left out', example)
            elif category is None:
                report.add('annotation of an unknown category left out', example)
            else:
                objects[where].append((category, _needed(annotation)))
        for image in images:
            size = image.get('width'), image.get('height')
            frame = size if all(isinstance(v, int | float) for v in size) else None
            drawn = tuple(objects[image.get('id')])
            yield CocoImage(file, str(image.get('file_name', '')), frame, drawn)

    def read(self, item: CocoImage, report: ReadReport) -> ParkingImage:
        """Read one image."""
        place, split = self.label(item), split_name(item.file.stem)
        image = locate_image([item.name], self._folders(item, split))
        size = image_size(image)
        slots = list(self._slots(item, size, report, place))
        return ParkingImage(
            file_name=self.relative(image),
            width=size[0],
            height=size[1],
            metres_per_pixel=self.metres_per_pixel,
            split=split,
            **checked_slots(slots, size, report, place, metres_per_pixel=self.metres_per_pixel),
        )

    def _slots(
        self, item: CocoImage, size: tuple[int, int], report: ReadReport, place: str
    ) -> Iterator[Quadrilateral]:
        for category, annotation in item.annotations:
            named = f'{place}, annotation {annotation["id"]}'
            meaning = self.meaning(category.name, Meaning())
            if annotation['iscrowd']:
                report.add('crowd left out', named)
                continue
            if meaning is None:
                report.add('annotation of an ignored category left out', named)
                continue
            try:
                keypoints = np.array(annotation['keypoints'], dtype=np.float64).reshape(4, 3)
            except (TypeError, ValueError):
                report.add('annotation without four keypoints x, y, v left out', named)
                continue
            keypoints = keypoints[list(category.order)]
            corners = scale_to_image(keypoints[:, :2], item.frame, size)
            meaning = meaning.refined(attribute_meaning(annotation['attributes']))
            yield self.quadrilateral(corners, meaning, size, keypoints[:, 2])

    def label(self, item: CocoImage) -> str:
        """JSON and name of the image."""
        return f'{self.relative(item.file)}: {item.name}'

    def _folders(self, item: CocoImage, split: str | None) -> list[Path]:
        here = item.file.parent
        tops = [here, here / 'images', here.parent, here.parent / 'images']
        tops = [Path(self.image_folder)] if self.image_folder else tops
        return [
            top / name for top in tops for name in ('', item.file.stem, split) if name is not None
        ]


def _needed(annotation: dict) -> dict:
    attributes = annotation.get('attributes')
    attributes = list(attributes.items()) if isinstance(attributes, dict) else []
    if annotation.get('occupied') is not None:
        attributes.append(('occupied', annotation['occupied']))
    return {
        'id': annotation.get('id'),
        'keypoints': annotation.get('keypoints'),
        'iscrowd': annotation.get('iscrowd'),
        'attributes': attributes,
    }


def _category(category: dict, report: ReadReport, place: str) -> Category:
    names = [str(name).strip().lower() for name in category.get('keypoints') or ()]
    name, order = str(category.get('name')), _corner_order(names)
    if order is None:
        if len(names) == 4:
            report.add(
                'category whose keypoints do not name the corners (taken as p1 p2 p3 p4)',
                f'{place} ({name!r}: {names})',
            )
        order = (0, 1, 2, 3)
    return Category(name, order)


def _corner_order(names: Sequence[str]) -> tuple[int, ...] | None:
    """Rows of p1, p2, p3 and p4 by the names of the keypoints, None if these do not tell."""
    if sorted(names) == sorted(KEYPOINTS):
        return tuple(names.index(name) for name in KEYPOINTS)
    numbers = [re.findall(r'\d+', name) for name in names]
    if sorted(numbers) in ([['0'], ['1'], ['2'], ['3']], [['1'], ['2'], ['3'], ['4']]):
        return tuple(int(row) for row in np.argsort([int(n[0]) for n in numbers]))
    return None
