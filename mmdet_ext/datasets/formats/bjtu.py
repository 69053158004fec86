"""Reader of bjtu-ps1: images of any size with DMPR-style JSON and lists of what is for training.

The data set of PCGNN (Parking Slot Detection Based on Polar Coordinate Attention Graph Neural
Network, https://github.com/jmtitan/PCGNN).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdet_ext.datasets.formats.dmpr import read_dmpr_labels
from mmdet_ext.datasets.formats.label_files import read_text
from mmdet_ext.datasets.formats.marks_and_slots import (
    Labelled,
    Labels,
    MarksAndSlotsReader,
    Note,
    pair_files,
)
from mmdet_ext.datasets.formats.reader import IMAGE_SUFFIXES, ReadReport, files_by_stem

_SPLITS = ('train', 'val')
_KNOWN = (*IMAGE_SUFFIXES, '.json')


@dataclass
class BjtuReader(MarksAndSlotsReader):
    """Images of ``img`` that ``main/train.txt`` and ``main/val.txt`` name, with their slots.

    Attributes:
        root: Folder that holds ``main``, ``label`` and ``img``.
        label_size: Side in pixels of the square frame that the labels are in; 0: that of each image.
        metres: Height of the ground that an image shows, in metres; 0: unknown.
    """

    labels = ('marking_points', 'directions', 'shapes', 'slots')

    def find(self, report: ReadReport) -> Sequence[Labelled]:
        """List pairs of image and JSON of the two lists."""
        lists = {split: self.root / 'main' / f'{split}.txt' for split in _SPLITS}
        if not any(path.is_file() for path in lists.values()):
            raise FileNotFoundError(
                f'{self.root.absolute()}: neither main/train.txt nor main/val.txt found; expected '
                'bjtu-ps1 with these lists of names, label/NAME.json and img/NAME.jpg.'
            )
        splits = self._splits(lists, report)
        labels = files_by_stem(self.root / 'label', ('.json',))
        unlisted, missing = sorted(labels.keys() - splits), sorted(splits.keys() - labels)
        for stem in missing:
            report.add('listed name without label left out', f'{stem} of {splits[stem]}.txt')
        for stem in unlisted:
            report.add('label that no list names left out', self.relative(labels.pop(stem)))
        images = files_by_stem(self.root / 'img', IMAGE_SUFFIXES)
        for stem in (*unlisted, *missing):
            images.pop(stem, None)
        pairs = pair_files(labels, images, self, report)
        return [Labelled(*pair, splits[stem]) for stem, pair in pairs.items()]

    def _splits(self, lists: dict[str, Path], report: ReadReport) -> dict[str, str]:
        """Split of each name."""
        splits: dict[str, str] = {}
        for split, path in lists.items():
            if not path.is_file():
                report.add('list that is missing', self.relative(path))
                continue
            for name in map(_stem, read_text(path).split('\n')):
                if name and splits.setdefault(name, split) != split:
                    report.add('name in both lists (read for validation)', name)
                    splits[name] = split
        return splits

    def read_labels(self, path: Path, frame: tuple[int, int], note: Note) -> Labels:
        """Read a JSON."""
        return read_dmpr_labels(path, frame, note)


def _stem(line: str) -> str:
    """Name without the suffix that some lists give it."""
    name = line.strip()
    return name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in _KNOWN else name
