"""Reader of the PSV images as re-annotated with marks and slots in MATLAB files.

Min et al., Attentional Graph Neural Network for Parking-Slot Detection, 2021.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdet_ext.datasets.formats.marks_and_slots import (
    Labelled,
    Labels,
    MarksAndSlotsReader,
    Note,
    pair_files,
    split_of,
    stems_below,
)
from mmdet_ext.datasets.formats.ps2 import read_mat_labels
from mmdet_ext.datasets.formats.reader import IMAGE_SUFFIXES, ReadReport

_SPLITS = {'train': 'train', 'test': 'test'}


@dataclass
class PsvReader(MarksAndSlotsReader):
    """Images with their slots, empty ones too; the label of ``images/A`` is ``annotations/A``.

    The files have no directions: a mark's is the mean separator direction of its slots.

    Attributes:
        root: Folder that holds ``images`` and ``annotations``.
        label_size: Side in pixels of the square frame that the labels are in; 0: that of each image.
        metres: Height of the ground that an image shows, in metres; 0: unknown.
    """

    label_size: int = 600

    labels = ('marking_points', 'directions', 'slots')
    derived = ('directions',)

    def find(self, report: ReadReport) -> Sequence[Labelled]:
        """List pairs of image and mat file."""
        labels = stems_below(self.root, ('.mat',), _SPLITS)
        if not labels:
            raise FileNotFoundError(
                f'{self.root.absolute()}: no mat file found; expected the PSV annotations, e.g. '
                'annotations/train/1.mat and images/train/1.jpg.'
            )
        pairs = pair_files(
            labels,
            stems_below(self.root, IMAGE_SUFFIXES, _SPLITS),
            self,
            report,
            lambda stem: (f'/{stem}'.replace('/annotations/', '/images/')[1:], stem),
        )
        return [Labelled(*pair, split_of(stem, _SPLITS)) for stem, pair in pairs.items()]

    def read_labels(self, path: Path, frame: tuple[int, int], note: Note) -> Labels:
        """Read a mat file."""
        return read_mat_labels(path, frame, note)
