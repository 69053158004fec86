"""COCO's mask and keypoint metrics of parking slots."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmdet_ext.datasets.formats.parking_slot_coco import KEYPOINTS, read_parking_slot_coco
from mmdet_ext.evaluation.functional.coco import (
    BACKENDS,
    OKS_SIGMAS,
    coco_average_precision,
    corner_keypoints,
    corner_masks,
)
from mmdet_ext.evaluation.functional.parking_slots import Rows
from mmdet_ext.evaluation.metrics.samples import SampleReader, flat_rows
from mmdet_ext.utils.files import parse_json

_IOU_TYPES = ('segm', 'keypoints')


@dataclass
class _ImageResult:
    img_id: int
    slots: Rows


@METRICS.register_module()
class ParkingSlotCocoMetric(BaseMetric):
    """COCO's mAP of slots by the masks of their quadrilaterals and by their corners as keypoints.

    Goes with stock ``CocoMetric``, which gives the mAP of their boxes. Reports
    ``coco/segm_mAP``, ``_50``, ``_75``, ``_s``, ``_m``, ``_l`` and ``coco/keypoints_mAP``,
    ``_50``, ``_75``, ``_m``, ``_l``: of the images predicted, -1 where there is no truth (as in
    COCO), not rounded. Masks are clipped to the image like those of the annotation file; keypoints
    are not. A prediction that is not finite is a false positive; one with a NaN score is left out,
    and the log says so. A file without slots has no metric.

    The object keypoint similarity of a slot is the mean over its corners of
    ``exp(-d^2 / (2 area (2 sigma)^2))``, d the distance in pixels (Lin et al., Microsoft COCO:
    Common Objects in Context, 2014, and its keypoint task).

    Args:
        ann_file: Parking-slot COCO file with the truths.
        metric: ``'segm'``, ``'keypoints'`` or both.
        oks_sigmas: Sigma of each corner in the order of the keypoints.
        backend: ``'pycocotools'`` or ``'faster_coco_eval'``, which give the same numbers; None:
            the latter if it is installed.
        collect_device: ``'cpu'`` or ``'gpu'``, where ranks exchange results.
        prefix: Put before the names of all metrics.

    Raises:
        FileNotFoundError: ``ann_file`` is missing.
        ValueError: ``ann_file`` is not valid or an option is unknown.
    """

    default_prefix = 'coco'

    def __init__(
        self,
        ann_file: str,
        metric: str | Sequence[str] = _IOU_TYPES,
        oks_sigmas: Sequence[float] = OKS_SIGMAS,
        *,
        backend: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.iou_types = (metric,) if isinstance(metric, str) else tuple(metric)
        self.oks_sigmas = tuple(oks_sigmas)
        self.backend = backend
        self._check_options()
        self.truth = read_parking_slot_coco(ann_file)
        self.samples = SampleReader(self.truth, 'ParkingSlotCocoMetric')

    def _check_options(self) -> None:
        unknown = [name for name in self.iou_types if name not in _IOU_TYPES]
        if unknown:
            raise ValueError(
                f"ParkingSlotCocoMetric: metric has {unknown}; expected 'segm' and 'keypoints' (for "
                'boxes use CocoMetric).'
            )
        if len(self.oks_sigmas) != len(KEYPOINTS) or min(self.oks_sigmas) <= 0:
            raise ValueError(
                f'ParkingSlotCocoMetric: oks_sigmas is {self.oks_sigmas}; expected four positive '
                f'numbers, of {", ".join(KEYPOINTS)}.'
            )
        if self.backend not in (None, *BACKENDS):
            raise ValueError(
                f'ParkingSlotCocoMetric: backend is {self.backend!r}; expected None or one of '
                f'{BACKENDS}.'
            )

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Take the predictions of a batch.

        Args:
            data_batch: Not used.
            data_samples: Predictions as dictionaries, with ``pred_instances`` that have ``corners
                (M, 4, 2)`` in pixels of the original image, ``scores`` and ``labels``.
        """
        self.results += [
            _ImageResult(self.samples.truth_of(sample).image_id, self.samples.slots(sample))
            for sample in data_samples
        ]

    def compute_metrics(self, results: list[_ImageResult]) -> dict[str, float]:
        """Compute the metrics and log them.

        Args:
            results: Predictions for all images; repeated images are dropped.

        Returns:
            Metrics by name.
        """
        if 'slots' not in self.truth.labels:
            self._say(f'{self.truth.path} is not labelled with slots; their metrics are skipped.')
            return {}
        by_id = {result.img_id: result.slots for result in results}
        self._say_what_is_skipped(len(by_id))
        if not by_id:
            return {}
        image_ids = sorted(by_id)
        slots, left_out = flat_rows([by_id[image_id] for image_id in image_ids])
        if left_out:
            self._say(f'{left_out} predictions with a score of NaN are left out.')
        content = parse_json(self.truth.path)
        metrics = {}
        for iou_type in self.iou_types:
            detections = self._detections(slots, content, image_ids, iou_type)
            options = (iou_type, image_ids, self.oks_sigmas, self.backend)
            figures = coco_average_precision(content, detections, *options)
            metrics |= {f'{iou_type}_{name}': value for name, value in figures.items()}
        said = ', '.join(f'{name} {value:.3f}' for name, value in metrics.items())
        print_log(f'COCO: {said}', logger='current')
        return metrics

    def _detections(
        self, slots: Rows, content: dict, image_ids: list[int], iou_type: str
    ) -> list[dict]:
        categories = [category['id'] for category in content['categories']]
        labels = slots['labels'].astype(int)
        if labels.max(initial=0) >= len(categories):
            raise ValueError(
                f'ParkingSlotCocoMetric: the model predicts class {labels.max()}, but '
                f'{self.truth.path} has only {self.truth.classes}; set the `num_classes` of its head.'
            )
        images = [self.samples.images[image_ids[i]] for i in slots['images']]
        if iou_type == 'segm':
            key, sizes = 'segmentation', [(image.width, image.height) for image in images]
            shapes = corner_masks(slots['corners'], np.array(sizes).reshape(-1, 2))
        else:
            key, shapes = 'keypoints', corner_keypoints(slots['corners'])
        rows = zip(images, labels, slots['scores'].tolist(), shapes, strict=True)
        return [
            {'image_id': i.image_id, 'category_id': categories[k], 'score': score, key: shape}
            for i, k, score, shape in rows
        ]

    def _say_what_is_skipped(self, seen: int) -> None:
        if seen < len(self.truth.images):
            self._say(
                f'{seen} of the {len(self.truth.images)} images of {self.truth.path} were '
                'predicted; only these are evaluated.'
            )

    def _say(self, sentence: str) -> None:
        print_log(f'ParkingSlotCocoMetric: {sentence}', logger='current')
