"""Reader of the YOLO layout of ultralytics: ``data.yaml``, ``images`` and ``labels``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml

from mmdet_ext.datasets.formats.box_txt import corners_of, other_folder, split_columns
from mmdet_ext.datasets.formats.detection_coco import DetectionImage
from mmdet_ext.datasets.formats.detection_reader import DetectionReader, LabelledObject
from mmdet_ext.datasets.formats.label_files import list_images, number, text_lines
from mmdet_ext.datasets.formats.reader import ReadReport, image_size

_SPLITS = ('train', 'val', 'test')
_BOX, _SMALLEST_OUTLINE = 5, 7
"""Columns of a line: class cx cy w h, and class with three points."""


@dataclass
class YoloReader(DetectionReader):
    """Boxes ``class cx cy w h`` and outlines ``class x1 y1 x2 y2 ...``, in shares of the image size.

    ``labels/a/1.txt`` belongs to ``images/a/1.jpg``; where no folder is called ``images`` it stands
    beside the image. An image without a txt file is background, as in training with ultralytics. Of a
    set with keypoints (``kpt_shape``) only the boxes are read.

    Attributes:
        root: Folder with ``data.yaml`` (or one other yaml file), or the yaml file.
        classes: The categories in their order, objects of others are left out: a list, names with commas
            between them, or a text file with one name per line. By default ``names`` of the
            yaml file.
    """

    @property
    def known_classes(self) -> list[str]:
        """``classes``, or the names in the yaml file."""
        return self.classes or list(self.settings['names'].values())

    @cached_property
    def settings(self) -> Mapping:
        """Content of the yaml file, with ``names`` by number and in the order of the numbers."""
        path = self._yaml_file
        try:
            content = yaml.safe_load(path.read_bytes())
        except yaml.YAMLError as error:
            raise ValueError(f'{path}: not valid yaml ({error}); mend it.') from error
        names = content.get('names') if isinstance(content, Mapping) else None
        try:
            pairs = enumerate(names) if isinstance(names, list) else names.items()
            by_number = {int(key): str(name) for key, name in pairs}
        except (AttributeError, TypeError, ValueError):
            by_number = {}
        if not by_number or len(set(by_number.values())) < len(by_number):
            raise ValueError(
                f'{path}: `names` is {names!r}; expected the class names, each once, as a list or as '
                '"number: name" lines.'
            )
        return {**content, 'names': dict(sorted(by_number.items()))}

    @cached_property
    def _yaml_file(self) -> Path:
        if self.root.is_file():
            return self.root
        files = sorted(path for path in self.root.glob('*') if path.suffix in ('.yaml', '.yml'))
        files = [path for path in files if path.stem == 'data'] or files
        if len(files) != 1:
            raise FileNotFoundError(
                f'{self.root.absolute()}: found {[path.name for path in files] or "no yaml file"}; '
                'expected one data.yaml with `train`, `val` and `names` (or name the file itself).'
            )
        return files[0]

    def find(self, report: ReadReport) -> Sequence[tuple[Path, str]]:
        """List images with their split.

        Raises:
            FileNotFoundError: There is no yaml file, or none of its splits has an image.
            ValueError: The yaml file has no class names.
        """
        splits: dict[Path, str] = {}
        for split in _SPLITS:
            for image in self._images(split, report):
                first = splits.setdefault(image, split)
                if first != split:
                    reason = 'image in two splits (kept in the first)'
                    self.note(report, (image,), reason, f'{first} and {split}')
        if not splits:
            found = {key: self.settings.get(key) for key in _SPLITS}
            raise FileNotFoundError(
                f'{self._yaml_file}: no image found at {found}; expected folders or txt files with '
                f'images, relative to the yaml file or its `path` ({self.settings.get("path")}).'
            )
        return list(splits.items())

    def _images(self, split: str, report: ReadReport) -> Iterator[Path]:
        entries = self.settings.get(split) or []
        for entry in entries if isinstance(entries, list) else [entries]:
            place = self._existing(entry)
            if place is None:
                report.add('folder or list of a split not found', f'{split}: {entry}')
            elif place.is_dir():
                yield from list_images(place)
            else:
                for line in text_lines(place):
                    beside = place.parent / line
                    yield beside if beside.is_file() else self._existing(line) or beside

    def _existing(self, entry: object) -> Path | None:
        """Where an entry of the yaml file or of a list is; exports of Roboflow have a ../ too much."""
        home = self._yaml_file.parent
        bases = [home / str(self.settings.get('path') or ''), home]
        names = [str(entry), str(entry).removeprefix('../')]
        places = (base / name for name in names for base in bases)
        return next((place for place in places if place.exists()), None)

    def read(self, item: tuple[Path, str], report: ReadReport) -> DetectionImage:
        """Read one image."""
        image, split = item
        size = image_size(image)
        label = other_folder(image, 'images', 'labels').with_suffix('.txt')
        lines = []
        if label.is_file():
            lines = text_lines(label)
        else:
            self.note(report, item, 'image without txt (kept as background)')
        objects = self._objects(item, lines, report)
        return self.make_record(item, image, size, objects, report, scale=size, split=split)

    def _objects(
        self, item: tuple, lines: Sequence[str], report: ReadReport
    ) -> Iterator[LabelledObject]:
        for i, line in enumerate(lines):
            values = np.array([number(column) for column in split_columns(line)])
            if 'kpt_shape' in self.settings:
                values = values[:_BOX]
            outlined = len(values) >= _SMALLEST_OUTLINE and len(values) % 2 == 1
            name = self.settings['names'].get(values[0]) if len(values) else None
            if line in lines[:i]:
                self.note(report, item, 'line given twice (read once)', line)
            elif not outlined and len(values) != _BOX:
                self.note(report, item, 'line that is no box and no outline left out', line)
            elif name is None:
                self.note(report, item, 'object whose class number has no name left out', line)
            elif outlined:
                yield LabelledObject.outlined(name, [values[1:].reshape(-1, 2)])
            else:
                yield LabelledObject(name, corners_of(values[1:]))
