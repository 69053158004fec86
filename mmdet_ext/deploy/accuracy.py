"""What an exported file is worth on labelled images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmdet_ext.datasets.formats.parking_slot_coco import (
    ParkingImage,
    read_parking_slot_coco,
    write_parking_slot_coco,
)
from mmdet_ext.deploy.images import read_images
from mmdet_ext.deploy.runtime import OnnxEngine
from mmdet_ext.evaluation.metrics import ParkingSlotMetric
from mmdet_ext.evaluation.quiet import evaluate_quietly

_SURE = 0.4
"""Predictions above this score stand in for labels."""


@dataclass
class Accuracy:
    """How good a file is.

    Attributes:
        f1: Of slots, strict, at the best score.
        corner_error: Of the entrance corners of matched slots, in pixels of a 600-pixel-high image.
    """

    f1: float
    corner_error: float

    def __str__(self) -> str:
        return f'slot F1 {self.f1:.3f}, corner error {self.corner_error:.2f} px of 600'


@dataclass
class LabelledImages:
    """Images in memory and the file of their labels.

    Attributes:
        images: BGR, uint8.
        ann_file: Parking-slot COCO file of them.
        ids: Their ids in it.
        origin: Where the labels come from, in words.
    """

    images: Sequence[np.ndarray]
    ann_file: str
    ids: Sequence[int]
    origin: str

    @classmethod
    def read(cls, ann_file: str, at_most: int = 200) -> 'LabelledImages':
        """Read images, evenly spread over a parking-slot COCO file.

        Raises:
            FileNotFoundError: There is no such file, or no such image.
            ValueError: It is not valid, has no slots, or an image cannot be read.
        """
        content = read_parking_slot_coco(ann_file)
        if 'slots' not in content.labels:
            raise ValueError(f'{ann_file} has no labels of slots: name one that has.')
        chosen = np.linspace(0, len(content.images) - 1, at_most).round().astype(int)
        records = [content.images[i] for i in np.unique(chosen)]
        folder = Path(ann_file).parent
        images = [read_images(folder / record.file_name)[0] for record in records]
        ids = [record.image_id for record in records]
        return cls(images, str(ann_file), ids, f'{len(ids)} images of {ann_file}')

    @classmethod
    def as_found_by(
        cls, engine: OnnxEngine, images: Sequence[np.ndarray], folder: str | Path
    ) -> 'LabelledImages':
        """Take what a file finds for the truth, to compare others with.

        Args:
            engine: Of the file.
            images: BGR, uint8.
            folder: Where to write the labels.
        """
        records = []
        for i, image in enumerate(images):
            found, (height, width) = engine(image)[0].above(_SURE), image.shape[:2]
            unlinked = np.full((len(found.corners), 2), -1)
            unknown = np.full(len(found.corners), -1)
            records.append(
                ParkingImage(
                    str(i),
                    width,
                    height,
                    corners=found.corners.astype(np.float64),
                    slot_types=found.labels,
                    occupied=unknown,
                    slot_points=unlinked,
                )
            )
        path = Path(folder) / 'found.json'
        content = write_parking_slot_coco(path, records, labels=['slots'])
        ids = [image['id'] for image in content['images']]
        origin = f'what the fp32 file finds in {len(images)} images, for want of labels'
        return cls(images, str(path), ids, origin)

    def measure(self, engine: OnnxEngine) -> Accuracy:
        """Evaluate a file on them."""
        samples = []
        for image, img_id in zip(self.images, self.ids, strict=True):
            found = engine(image)[0]
            slots = {key: getattr(found, key) for key in ('corners', 'labels', 'scores')}
            points = {'points': found.points, 'scores': found.point_scores}
            points |= {'directions': found.directions, 'shapes': found.shapes}
            points = {key: value for key, value in points.items() if value is not None}
            samples.append(
                dict(
                    img_id=img_id,
                    ori_shape=image.shape[:2],
                    pred_instances=slots,
                    pred_marking_points=points,
                )
            )
        values = evaluate_quietly(ParkingSlotMetric(self.ann_file), samples)
        return Accuracy(values['slot/f1'], values['slot/corner_error_px'])
