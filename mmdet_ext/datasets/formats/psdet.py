"""Reader of the PSDet strips: real surround views of one side of a car, with marking points only.

Wu et al., PSDet: Efficient and Universal Parking Slot Detection, 2020.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage

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
PSDET_LABELS = ('marking_points',)
_IMAGE_SUFFIXES = ('_images', '_img')
_LABEL_SUFFIXES = ('', '_xml', '_xml_ori')
_KEY_POINT = re.compile(r'\d+[ _]key_point')


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

    def lines(self) -> list[str]:
        """One sentence per reason: how many and the first case."""
        return [f'{n} {reason}, first {self.examples[reason]}' for reason, n in self.counts.items()]


def read_psdet(root: str | Path, report: ReadReport | None = None) -> Iterator[ParkingImage]:
    """Read the strips one by one, in the order of folders and frame numbers.

    The labels of a ``*.jpg`` folder stand in that folder, or in a sibling ``<name>_xml`` or
    ``<name>_xml_ori`` (a suffix ``_images`` or ``_img`` of the folder's name left out). They are
    in the frame of the xml's ``imagesize`` and come out in the pixels of the jpg. An image whose
    xml holds no point is kept.

    Args:
        root: Folder that holds the site kinds (``Brick``, ``Curve``, ...), or one of them.
        report: Filled with what is left out; see :class:`ReadReport`.

    Yields:
        Records with points only; ``group`` is the sequence folder, ``condition`` the site kind.

    Raises:
        FileNotFoundError: There is no jpg below ``root``.
    """
    root, report = Path(root), report or ReadReport()
    folders = _image_folders(root)
    if not folders:
        raise FileNotFoundError(
            f'{root.absolute()}: no folder with jpg files found; expected the PSDet strips, '
            'e.g. Curve/parking_key_point1023_xld_L/006600.jpg.'
        )
    for folder, names in folders:
        yield from _read_folder(root, folder, names, report)


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


def _read_folder(
    root: Path, folder: Path, names: list[str], report: ReadReport
) -> Iterator[ParkingImage]:
    group = folder.name
    for suffix in _IMAGE_SUFFIXES:
        group = group.removesuffix(suffix)
    kind = next((part for part in folder.absolute().parts if part in SITE_KINDS), None)
    labels = _label_files(folder, group)
    for name in names:
        label = labels.pop(Path(name).stem, None)
        relative = (folder / name).relative_to(root)
        if label is None:
            report.add('image without xml left out', relative, kind)
            continue
        try:
            width, height, points = _read_pair(folder / name, label, report, kind)
        except (OSError, UnidentifiedImageError, ElementTree.ParseError, ValueError) as error:
            report.add('broken pair left out', f'{relative} ({error})', kind)
            continue
        if not len(points):
            report.add('image without points (kept)', relative, kind)
        yield ParkingImage(
            file_name=relative.as_posix(),
            width=width,
            height=height,
            points=points,
            directions=np.full_like(points, np.nan),
            shapes=np.full(len(points), -1),
            group=group,
            condition=kind,
        )
    for label in labels.values():
        report.add('xml without image left out', label.relative_to(root), kind)


def _label_files(folder: Path, group: str) -> dict[str, Path]:
    for place in (folder, *(folder.with_name(group + suffix) for suffix in _LABEL_SUFFIXES)):
        files = {path.stem: path for path in sorted(place.glob('*.xml'))}
        if files:
            return files
    return {}


def _read_pair(
    image: Path, label: Path, report: ReadReport, kind: str | None
) -> tuple[int, int, np.ndarray]:
    """Size of the image in pixels and its points, ``(N, 2)``, in these pixels."""
    with Image.open(image) as opened:  # reads the header only
        width, height = opened.size
    annotation = ElementTree.parse(label).getroot()
    size = [float(annotation.findtext(f'imagesize/{key}') or 0) for key in ('ncols', 'nrows')]
    if min(size) <= 0:
        raise ValueError(f'{label.name} gives no positive imagesize ncols and nrows')
    points = np.array(_label_points(annotation, label, report, kind)).reshape(-1, 2)
    inside = ((points >= 0) & (points <= size)).all(-1)
    for x, y in points[~inside]:
        report.add('point outside the image left out', f'{_short(label)} at {x:g}, {y:g}', kind)
    return width, height, (points[inside] + 0.5) * (np.array([width, height]) / size) - 0.5


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
        raise ValueError(f'{label.name} has a point without finite x and y')
    return points


def _short(label: Path) -> str:
    return f'{label.parent.name}/{label.name}'
