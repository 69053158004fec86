"""Reader of the PSDet strips: real surround views of one side of a car, with marking points only.

Wu et al., PSDet: Efficient and Universal Parking Slot Detection, 2020.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage
from mmdet_ext.datasets.formats.reader import LeftOut, ParkingReader, ReadReport, image_size

SITE_KINDS = (
    'Brick',
    'Curve',
    'Grass',
    'Oblique',
    'Open',
    'Rectangular',
    'Stereo',
    'Trapezoidal',
)
_IMAGE_SUFFIXES = ('_images', '_img')
_LABEL_SUFFIXES = ('', '_xml', '_xml_ori')
_KEY_POINT = re.compile(r'\d+[ _]key_point')


@dataclass
class PSDetReader(ParkingReader):
    """Strips in the order of folders and frame numbers, with points only.

    The labels of a ``*.jpg`` folder stand in that folder, or in a sibling ``<name>_xml`` or
    ``<name>_xml_ori`` (a suffix ``_images`` or ``_img`` of the folder's name left out). They are
    in the frame of the xml's ``imagesize`` and come out in the pixels of the jpg. An image whose
    xml holds no point is kept. ``group`` is the sequence folder, ``condition`` the site kind.

    The pictures of one sequence (``Brick``) have a green dot painted on every labelled point: whoever
    learns or is tested on them needs to find green dots only. They are left out and counted.

    Attributes:
        root: Folder that holds the site kinds (``Brick``, ``Curve``, ...), or one of them.
        painted: Keep pictures with painted points.
    """

    painted: bool = False

    labels = ('marking_points',)

    def find(self, report: ReadReport) -> Sequence[tuple[Path, Path]]:
        """List pairs of jpg and xml."""
        folders = _image_folders(self.root)
        if not folders:
            raise FileNotFoundError(
                f'{self.root.absolute()}: no folder with jpg files found; expected the PSDet strips, '
                'e.g. Curve/parking_key_point1023_xld_L/006600.jpg.'
            )
        return [pair for folder, names in folders for pair in self._pairs(folder, names, report)]

    def _pairs(self, folder: Path, names: list[str], report: ReadReport):
        labels = _label_files(folder, _sequence(folder))
        for name in names:
            label = labels.pop(Path(name).stem, None)
            if label is None:
                report.add(
                    'image without xml left out', self.relative(folder / name), _site_kind(folder)
                )
            else:
                yield folder / name, label
        for label in labels.values():
            report.add('xml without image left out', self.relative(label), _site_kind(folder))

    def condition(self, item: tuple[Path, Path]) -> str | None:
        """Site kind."""
        return _site_kind(item[0].parent)

    def read(self, item: tuple[Path, Path], report: ReadReport) -> ParkingImage:
        """Read one strip."""
        image, label = item
        kind = self.condition(item)
        width, height = image_size(image)
        points = _read_points(label, (width, height), report, kind)
        if not self.painted and _shows_labels(image, points):
            raise LeftOut('labels painted into the picture', f'{len(points)} points')
        if not len(points):
            report.add('image without points (kept)', self.relative(image), kind)
        return ParkingImage(
            file_name=self.relative(image),
            width=width,
            height=height,
            points=points,
            directions=np.full_like(points, np.nan),
            shapes=np.full(len(points), -1),
            group=_sequence(image.parent),
            condition=kind,
        )


def _image_folders(root: Path) -> list[tuple[Path, list[str]]]:
    """Folders that hold jpg files, with the names of these files in the order of their frames."""
    found = []
    for folder, _, names in os.walk(root):
        images = [name for name in names if name.lower().endswith('.jpg')]
        if images:
            found.append((Path(folder), sorted(images, key=frame_number)))
    return sorted(found)


def frame_number(file_name: str) -> tuple[int, str]:
    """Sort key of a video frame: the last number in its stem, then its name."""
    numbers = re.findall(r'\d+', Path(file_name).stem)
    return int(numbers[-1]) if numbers else -1, file_name


def _sequence(folder: Path) -> str:
    name = folder.name
    for suffix in _IMAGE_SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _site_kind(folder: Path) -> str | None:
    return next((part for part in folder.absolute().parts if part in SITE_KINDS), None)


def _label_files(folder: Path, sequence: str) -> dict[str, Path]:
    for place in (folder, *(folder.with_name(sequence + suffix) for suffix in _LABEL_SUFFIXES)):
        files = {path.stem: path for path in sorted(place.glob('*.xml'))}
        if files:
            return files
    return {}


def _read_points(
    label: Path, image_size: tuple[int, int], report: ReadReport, kind: str | None
) -> np.ndarray:
    """Points, ``(N, 2)``, in pixels of the image."""
    try:
        annotation = ElementTree.parse(label).getroot()
    except ElementTree.ParseError as error:
        raise LeftOut('broken xml', error) from error
    try:
        size = [float(annotation.findtext(f'imagesize/{key}') or 0) for key in ('ncols', 'nrows')]
        points = np.array(_label_points(annotation, label, report, kind)).reshape(-1, 2)
    except ValueError as error:
        raise LeftOut('xml with a number that cannot be read', error) from error
    if min(size) <= 0:
        raise LeftOut('xml without a positive imagesize', f'ncols and nrows are {size}')
    inside = ((points >= 0) & (points <= size)).all(-1)
    for x, y in points[~inside]:
        report.add('point outside the image left out', f'{_short(label)} at {x:g}, {y:g}', kind)
    return (points[inside] + 0.5) * (np.array(image_size) / size) - 0.5


def _label_points(
    annotation: ElementTree.Element, label: Path, report: ReadReport, kind: str | None
) -> list[tuple[float, float]]:
    points = []
    for entry in annotation.iter('object'):
        name = (entry.findtext('name') or '').strip()
        if entry.findtext('deleted', '0').strip() != '0':
            report.add('deleted object left out', _short(label), kind)
            continue
        if not _KEY_POINT.match(name):
            report.add('object of another name left out', f'{_short(label)} ({name!r})', kind)
            continue
        found = [
            (float(p.findtext('x', 'nan')), float(p.findtext('y', 'nan'))) for p in entry.iter('pt')
        ]
        if len(found) != 1:
            report.add('object without exactly one point (its points kept)', _short(label), kind)
        points += dict.fromkeys(found)
    if not np.isfinite(points).all():
        raise ValueError('a point has no finite x and y')
    return points


def _shows_labels(image: Path, points: np.ndarray) -> bool:
    """Whether there is bright green, which neither paint nor plants have, on most of the points."""
    if not len(points):
        return False
    with Image.open(image) as opened:
        red, green, blue = np.moveaxis(np.asarray(opened.convert('RGB')).astype(int), -1, 0)
    dots = (green > 180) & (green - np.maximum(red, blue) > 100)
    columns, rows = points.round().astype(int).clip(0, np.array(dots.shape[::-1]) - 1).T
    return dots[rows, columns].mean() > 0.5


def _short(label: Path) -> str:
    return f'{label.parent.name}/{label.name}'
