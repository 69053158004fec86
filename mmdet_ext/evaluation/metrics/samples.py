"""Data samples of parking-slot models as arrays, checked against the annotation file."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage, ParkingSlotFile
from mmdet_ext.evaluation.functional.parking_slots import Rows, kept_rows

POINT_FIELDS = {'points': (2,), 'scores': ()}
SLOT_FIELDS = {'corners': (4, 2), 'scores': (), 'labels': ()}
"""Fields that predictions must have, with the shape of an entry."""
OPTIONAL_POINT_FIELDS = {'directions': (2,), 'shapes': ()}
OPTIONAL_SLOT_FIELDS = {'occupied_scores': (), 'point_scores': (2,)}


class SampleReader:
    """Reads predictions of a parking-slot model.

    Args:
        truth: The annotation file of the predicted images.
        metric: Name of the metric, for messages.
    """

    def __init__(self, truth: ParkingSlotFile, metric: str) -> None:
        self.path = truth.path
        self.metric = metric
        self.images = {image.image_id: image for image in truth.images}

    def truth_of(self, sample: dict) -> ParkingImage:
        """Labels of the image of a data sample.

        Args:
            sample: Data sample as a dictionary.

        Returns:
            The labels.

        Raises:
            ValueError: The file has no such image or has it in another size.
        """
        truth = self.images.get(sample['img_id'])
        if truth is None:
            raise ValueError(
                f'{self.metric}: {self.path} has no image with id {sample["img_id"]!r} '
                f'({sample.get("img_path", "of the dataset")}); give the metric the `ann_file` of '
                'its dataloader.'
            )
        height, width = sample['ori_shape'][:2]
        if (width, height) != (truth.width, truth.height):
            raise ValueError(
                f'{self.path}: {truth.file_name} is {truth.width} x {truth.height} there, but '
                f'the loaded image is {width} x {height}; correct width and height and the labels.'
            )
        return truth

    def points(self, sample: dict, truth: ParkingImage) -> Rows:
        """Predicted marking points of a data sample.

        Args:
            sample: Data sample as a dictionary.
            truth: Labels of its image.

        Returns:
            The fields of :mod:`~mmdet_ext.evaluation.functional.parking_slots`, without ``images``.

        Raises:
            ValueError: A required field is missing, or one that the image is labelled with.
        """
        rows = self._fields(sample, 'pred_marking_points', POINT_FIELDS, OPTIONAL_POINT_FIELDS)
        labelled = {'directions': np.isfinite(truth.directions), 'shapes': truth.shapes >= 0}
        for key in OPTIONAL_POINT_FIELDS:
            if key not in sample['pred_marking_points'] and labelled[key].any():
                raise ValueError(
                    f'{truth.file_name}: the marking points are labelled with {key}, but '
                    f'`pred_marking_points` has only {sorted(_keys(sample["pred_marking_points"]))}; '
                    f'predict {key} or leave them out of the annotation file.'
                )
        return rows

    def slots(self, sample: dict) -> Rows:
        """Predicted slots of a data sample, like :meth:`points`."""
        return self._fields(sample, 'pred_instances', SLOT_FIELDS, OPTIONAL_SLOT_FIELDS)

    def _fields(
        self,
        sample: dict,
        name: str,
        required: Mapping[str, tuple[int, ...]],
        optional: Mapping[str, tuple[int, ...]],
    ) -> Rows:
        instances = sample.get(name)
        keys = _keys(instances)
        missing = [key for key in required if key not in keys]
        if missing:
            raise ValueError(
                f'{self.metric}: the prediction of image {sample["img_id"]!r} has no '
                f'`{name}` with {missing} (found {sorted(keys)}); this metric needs a '
                'parking-slot model such as ParkingSlotDetector.'
            )
        shapes = {**required, **optional}
        rows = {key: _array(instances[key], shapes[key]) for key in shapes if key in keys}
        count = len(rows['scores'])
        absent = {
            k: np.full((count, *shapes[k]), np.nan, np.float32) for k in shapes if k not in rows
        }
        return rows | absent


def _keys(instances: object) -> list[str]:
    return [] if instances is None else list(instances.keys())


def _array(values: torch.Tensor | np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.float() if values.dtype == torch.bfloat16 else values  # NumPy has none
        values = values.numpy()
    return np.asarray(values).reshape(len(values), *shape)


def flat_rows(samples: Sequence[Rows]) -> tuple[Rows, int]:
    """Join the predictions of several images, best scores first in each.

    Their order is the same however they were shuffled. Those whose score is NaN reach no threshold
    and are left out; those whose corners or point are not all finite get NaN for all of them.

    Args:
        samples: Predictions of each image, at least one.

    Returns:
        The predictions with ``images``, float64, and the number of those left out.
    """
    counts = [len(rows['scores']) for rows in samples]
    images = np.repeat(np.arange(len(samples)), counts)
    rows = {
        key: np.concatenate([rows[key] for rows in samples]).astype(np.float64)
        for key in samples[0]
    }
    geometry = rows['corners' if 'corners' in rows else 'points']
    finite = np.isfinite(geometry).all(tuple(range(1, geometry.ndim)))
    geometry[~finite] = np.nan
    flat = [
        values.reshape(len(values), int(np.prod(values.shape[1:]))).T for values in rows.values()
    ]
    order = np.lexsort([*np.concatenate(flat)[::-1], -rows['scores'], images])
    order = order[~np.isnan(rows['scores'][order])]
    return kept_rows({'images': images} | rows, order), len(images) - len(order)
