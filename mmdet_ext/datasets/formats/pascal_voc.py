"""Reader of PASCAL VOC folders, of any class names.

Everingham et al., The PASCAL Visual Object Classes (VOC) Challenge, 2010.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from mmdet_ext.datasets.formats.detection_coco import DetectionImage
from mmdet_ext.datasets.formats.detection_reader import DetectionReader, LabelledObject
from mmdet_ext.datasets.formats.label_files import number, text_lines
from mmdet_ext.datasets.formats.reader import (
    IMAGE_SUFFIXES,
    LeftOut,
    ReadReport,
    files_by_stem,
    image_size,
)

_EDGES = ('xmin', 'ymin', 'xmax', 'ymax')
_ORDER = {'train': 0, 'val': 1, 'test': 2, 'trainval': 4}
"""Lists in the order in which they claim an image; others rank between."""
_YES, _NO = ('1', '1.0', 'true', 'yes'), ('', '0', '0.0', 'false', 'no', 'unspecified')

Item = tuple[Path, Path, str | None]
"""Image, xml and split."""


@dataclass
class PascalVocReader(DetectionReader):
    """``Annotations/*.xml`` with ``JPEGImages`` of the same names.

    Difficult objects become crowd, which evaluation ignores as VOC's own does. The split of an image
    is the list in ``ImageSets/Main`` that names it: ``trainval`` only where neither ``train`` nor
    ``val`` does; lists of one class such as ``car_train.txt`` repeat these and are not read.
    ``condition`` is the folder (``VOC2007``) where ``root`` holds several of this kind.

    Attributes:
        root: Folder that holds ``Annotations``, or folders that do (``VOCdevkit``).
        classes: The categories in their order, objects of others are left out: a list, names with commas
            between them, or a text file with one name per line. By default all that occur, sorted.
        image_folder: Name of the folder with the images.
        minus_one: Pixels count from 1, as VOC's and labelImg's do: subtract 1 from all coordinates,
            as mmdet's VOCDataset does.
    """

    image_folder: str = 'JPEGImages'
    minus_one: bool = True

    def find(self, report: ReadReport) -> Sequence[Item]:
        """List image, xml and split."""
        sets = [self.root, *sorted(path.parent for path in self.root.glob('*/Annotations'))]
        items = [
            item
            for folder in sets
            if (folder / 'Annotations').is_dir()
            for item in self._pairs(folder, report)
        ]
        if not items and not report.counts:
            raise FileNotFoundError(
                f'{self.root.absolute()}: no Annotations/*.xml found; expected a VOC folder with '
                f'Annotations, {self.image_folder} and, for a split, ImageSets/Main/train.txt.'
            )
        return items

    def _pairs(self, folder: Path, report: ReadReport) -> Iterator[Item]:
        images = files_by_stem(folder / self.image_folder, IMAGE_SUFFIXES)
        labels = files_by_stem(folder / 'Annotations', ('.xml',))
        splits = self._splits(folder / 'ImageSets/Main', report)
        for stem, image in images.items():
            if stem in labels:
                yield image, labels[stem], splits.get(stem)
            else:
                self.note(report, (image,), 'image without xml left out')
        for stem, label in labels.items():
            if stem not in images:
                self.note(report, (label,), 'xml without image left out')
        for stem in splits:
            if stem not in images and stem not in labels:
                self.note(report, (folder / stem,), 'listed name without image and xml left out')

    def _splits(self, folder: Path, report: ReadReport) -> dict[str, str]:
        """Split by image stem."""
        lists = {path.stem: path for path in sorted(folder.glob('*.txt'))}
        whole = [name for name in lists if not any(name.endswith(f'_{other}') for other in lists)]
        whole.sort(key=lambda name: (_ORDER.get(name, 3), name))
        splits: dict[str, str] = {}
        for name in whole:
            for line in text_lines(lists[name]):
                stem = (
                    str(Path(line).with_suffix(''))
                    if line.lower().endswith(IMAGE_SUFFIXES)
                    else line
                )
                first = splits.setdefault(stem, name)
                if first != name and not (name == 'trainval' and first in ('train', 'val')):
                    detail = f'{stem}: {first} and {name}'
                    reason = 'name in two lists (the first one taken)'
                    self.note(report, (lists[name],), reason, detail)
        return splits

    def condition(self, item: tuple) -> str | None:
        """The VOC folder, if there are several."""
        if (self.root / 'Annotations').is_dir():
            return None
        return self.relative(item[0]).split('/')[0]

    def read(self, item: Item, report: ReadReport) -> DetectionImage:
        """Read one image."""
        image, label, split = item
        size = image_size(image)
        annotation = _parse(label)
        labelled = [number(annotation.findtext(f'size/{key}')) for key in ('width', 'height')]
        scale = self.label_scale(item, image, size, labelled, report)
        objects = self._objects(item, annotation, report)
        return self.make_record(item, image, size, objects, report, scale=scale, split=split)

    def _objects(
        self, item: Item, annotation: ElementTree.Element, report: ReadReport
    ) -> Iterator[LabelledObject]:
        for entry in annotation.findall('object'):
            name = (entry.findtext('name') or '').strip()
            bounds = entry.find('bndbox')
            if bounds is None or not name:
                missing = 'name' if bounds is not None else 'bndbox'
                self.note(report, item, f'object without {missing} left out', name)
                continue
            box = np.array([number(bounds.findtext(edge)) for edge in _EDGES])
            difficult = (entry.findtext('difficult') or '').strip().lower()
            if difficult not in _YES + _NO:
                self.note(report, item, '<difficult> other than 0 and 1 (taken as 0)', difficult)
            box = self._put_right(item, box, report)
            yield LabelledObject(name, box, crowd=difficult in _YES)

    def _put_right(self, item: Item, box: np.ndarray, report: ReadReport) -> np.ndarray:
        """Box that counts from 0, its corners in order."""
        if (box[:2] > box[2:]).any():
            self.note(report, item, 'box with min and max swapped (put right)', box.tolist())
            box = np.concatenate([np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])])
        if self.minus_one and box.min() == 0:
            reason = (
                'box that begins at 0, where pixels should count from 1 (minus_one=False meant?)'
            )
            self.note(report, item, reason, box.tolist())
        return box - self.minus_one


def _parse(label: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(label).getroot()
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the latter: odd encodings
        latin = ElementTree.XMLParser(encoding='latin-1')
        try:
            return ElementTree.parse(label, latin).getroot()
        except ElementTree.ParseError:
            raise LeftOut('broken xml', error) from error
