"""Reader of CRPS-D: surround views with slanted slots, and marks that may have two directions.

Advancing Real-World Parking Slot Detection with Large-Scale Dataset and Semi-Supervised Baseline,
2025 (arXiv 2509.13133).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmdet_ext.datasets.formats.marks_and_slots import (
    Labelled,
    Labels,
    MarksAndSlotsReader,
    Note,
    arms,
    load_json,
    load_label,
    number_rows,
    pair_files,
    read_slots,
    shape_labels,
    split_of,
    stems_below,
)
from mmdet_ext.datasets.formats.reader import IMAGE_SUFFIXES, ReadReport
from mmdet_ext.structures.marking_points import L_SHAPE, order_arms, unit

_SPLITS = {'train': 'train', 'test': 'test'}
_LONGEST_PERPENDICULAR = 230
"""Entrance in pixels of 600 between the ranges of perpendicular and parallel slots of its authors."""


@dataclass
class CrpsReader(MarksAndSlotsReader):
    """Images of ``train/img`` and ``test/img`` with the raw JSON labels, such as ``test/slot_label``.

    A mark of a slanted slot has two labelled arms. Its direction here is the separating line's for
    a T, and for an L that of its arms which, turned clockwise, meets the other one first.

    Attributes:
        root: Folder that holds ``train`` and ``test``, or one of them.
        label_size: Side in pixels of the square frame that the labels are in; 0: that of each image.
        metres: Height of the ground that an image shows, in metres; 0: unknown.
        prepared: Read the lists of ``point_train`` and ``point_test`` instead, which have no slots.
    """

    label_size: int = 512
    metres: float = 10
    prepared: bool = False

    labels = ('marking_points', 'directions', 'shapes', 'slots')

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prepared:
            self.labels = tuple(kind for kind in self.labels if kind != 'slots')

    def find(self, report: ReadReport) -> Sequence[Labelled]:
        """List pairs of image and JSON."""
        labels = self._wanted(stems_below(self.root, ('.json',), _SPLITS))
        if not labels:
            raise FileNotFoundError(
                f'{self.root.absolute()}: no {"prepared" if self.prepared else "raw"} JSON file found; '
                'expected CRPS-D with e.g. test/img/1.jpg and test/slot_label/1.json, or, with the '
                'option prepared=True, train/point_train/1.json.'
            )
        images = self._wanted(stems_below(self.root, IMAGE_SUFFIXES, _SPLITS))
        pairs = pair_files(labels, images, self, report, _image_stems)
        return [Labelled(*pair, split_of(stem, _SPLITS)) for stem, pair in pairs.items()]

    def _wanted(self, files: dict[str, Path]) -> dict[str, Path]:
        """Files in the folders of prepared lists, or outside them."""
        return {
            stem: path
            for stem, path in files.items()
            if ('/point_' in f'/{self.root.name}/{stem}'.rpartition('/')[0]) == self.prepared
        }

    def read_labels(self, path: Path, frame: tuple[int, int], note: Note) -> Labels:
        """Read a JSON, raw or prepared."""
        if self.prepared:
            return _read_prepared(path, frame, note)
        content = load_label(path)
        marks = number_rows(content['marks'], 8, 'mark', note)
        points, shapes = marks[:, :2] - 1, shape_labels(marks[:, 6], note)
        slots = read_slots(
            content['slots'],
            points,
            frame,
            note,
            typed=False,
            longest_perpendicular=_LONGEST_PERPENDICULAR,
        )
        return Labels(points, _directions(marks, shapes, note), shapes, slots)


def _image_stems(stem: str) -> tuple[str, ...]:
    """Beside the label, or in the folder ``img`` beside its folder."""
    folder, _, name = stem.rpartition('/')
    return stem, f'{folder.rpartition("/")[0]}/img/{name}'.lstrip('/')


def _directions(marks: np.ndarray, shapes: np.ndarray, note: Note) -> np.ndarray:
    """Vectors along the first arms; of a slanted L the arm that comes first when turned clockwise."""
    first = arms(marks[:, :2], marks[:, 2:4], note)
    both = (shapes == L_SHAPE) & (marks[:, 7] == 1)
    second = arms(marks[:, :2], np.where(both[:, None], marks[:, 4:6], np.nan), note)
    return np.where(both[:, None], order_arms(unit(first), unit(second))[0], first)


def _read_prepared(path: Path, frame: tuple[int, int], note: Note) -> Labels:
    """Read a list of ``[x, y, direction, other direction, shape, type]``, x and y in 0..1."""
    marks = number_rows(load_json(path), 6, 'mark', note)
    return Labels(
        marks[:, :2] * frame - 0.5,
        np.stack([np.cos(marks[:, 2]), np.sin(marks[:, 2])], -1),
        shape_labels(marks[:, 4], note),
    )
