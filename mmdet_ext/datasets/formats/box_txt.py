"""Reader of one text file per image, ``class cx cy w h`` a line, and a ``filelist.txt``."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmdet_ext.datasets.formats.detection_coco import DetectionImage
from mmdet_ext.datasets.formats.detection_reader import DetectionReader, LabelledObject
from mmdet_ext.datasets.formats.label_files import number, text_lines
from mmdet_ext.datasets.formats.reader import IMAGE_SUFFIXES, LeftOut, ReadReport, image_size

_FOLDERS = (('JPEGImages', 'Annotations'), ('images', 'labels'))
"""Names of image folders and of the label folders beside them."""


@dataclass
class BoxTxtReader(DetectionReader):
    """Images that a list names, one line each, by the path of the image or of its txt file.

    The other file of the pair stands beside it, or in ``Annotations`` where the image stands in
    ``JPEGImages``, or in ``labels`` where it stands in ``images``. The class is a number, counted
    from 0, or a name. Spaces, tabs, commas and semicolons separate.

    Attributes:
        root: Folder with ``filelist.txt``, or such a list under another name.
        classes: The categories in their order, objects of others are left out: a list, names with commas
            between them, or a text file with one name per line. By default all that occur, sorted; class
            numbers stay numbers then.
        normalised: Boxes are in shares of the image width and height, not in pixels.
        min_size: Boxes narrower or lower than this many pixels become crowd, which is ignored.
    """

    normalised: bool = False
    min_size: float = 0

    def find(self, report: ReadReport) -> Sequence[Path]:
        """List the entries of the list."""
        path = self.root if self.root.is_file() else self.root / 'filelist.txt'
        if not path.is_file():
            raise FileNotFoundError(
                f'{path.absolute()} not found; expected a text file with the path of one image (or of '
                'its txt file) per line.'
            )
        entries: dict[Path, None] = {}
        for line in text_lines(path):
            entry = self.folder / line.replace('\\', '/')
            if entry in entries:
                self.note(report, entry, 'name listed twice (read once)')
            entries[entry] = None
        return list(entries)

    def read(self, item: Path, report: ReadReport) -> DetectionImage:
        """Read one image."""
        image, label = _find_image(item), _find_label(item)
        if image is None:
            raise LeftOut('listed image not found')
        if label is None:
            raise LeftOut('image without txt')
        size = image_size(image)
        scale = size if self.normalised else (1, 1)
        objects = self._objects(item, label, np.tile(scale, 2), report)
        return self.make_record(item, image, size, objects, report)

    def _objects(
        self, item: Path, label: Path, scale: np.ndarray, report: ReadReport
    ) -> Iterator[LabelledObject]:
        for line in text_lines(label):
            tokens = split_columns(line)
            words, values = tokens[:-4], tokens[-4:]
            if not words or any(np.isfinite(number(word)) for word in words[1:]):
                self.note(report, item, 'line that is not "class cx cy w h" left out', line)
                continue
            name = self._class_name(' '.join(words))
            if name is None:
                self.note(report, item, 'object whose class number has no name left out', line)
                continue
            box = corners_of(np.array([number(value) for value in values]) * scale)
            small = min(box[2:] - box[:2]) < self.min_size
            yield LabelledObject(name, box, crowd=small)

    def _class_name(self, text: str) -> str | None:
        if self.classes is None or text in self.classes or not text.isdecimal():
            return text
        return self.classes[int(text)] if int(text) < len(self.classes) else None


def split_columns(line: str) -> list[str]:
    """Columns of a line, with spaces, tabs, commas or semicolons between them."""
    return re.findall(r'[^\s,;]+', line)


def corners_of(box: np.ndarray) -> np.ndarray:
    """Box x1 y1 x2 y2 from cx cy w h."""
    return np.concatenate([box[:2] - box[2:] / 2, box[:2] + box[2:] / 2])


def _find_image(entry: Path) -> Path | None:
    if entry.suffix.lower() in IMAGE_SUFFIXES:
        return entry if entry.is_file() else None
    swaps = [(labels, images) for images, labels in _FOLDERS]
    return _find_partner(entry, swaps, IMAGE_SUFFIXES)


def _find_label(entry: Path) -> Path | None:
    if entry.suffix.lower() == '.txt':
        return entry if entry.is_file() else None
    return _find_partner(entry, _FOLDERS, ('.txt',))


def _find_partner(
    entry: Path, swaps: Sequence[tuple[str, str]], suffixes: Sequence[str]
) -> Path | None:
    """First file of the entry's stem, beside it or in the other folder of a pair."""
    known = (*IMAGE_SUFFIXES, '.txt')
    stem = entry.with_suffix('') if entry.suffix.lower() in known else entry
    places = [stem, *(other_folder(stem, *swap) for swap in swaps)]
    for place in places:
        for suffix in (*suffixes, *(suffix.upper() for suffix in suffixes)):
            path = place.with_name(place.name + suffix)
            if path.is_file():
                return path
    return None


def other_folder(path: Path, folder: str, other: str) -> Path:
    """The path with its last folder called ``folder`` replaced by ``other``."""
    parts = list(path.parts)
    for i in reversed(range(len(parts) - 1)):
        if parts[i] == folder:
            return Path(*parts[:i], other, *parts[i + 1 :])
    return path
