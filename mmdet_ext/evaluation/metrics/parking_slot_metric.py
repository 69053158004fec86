"""Metric of marking points and parking slots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
import torch
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from rich import box
from rich.console import Console
from rich.table import Table

from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage, read_parking_slot_coco
from mmdet_ext.evaluation.functional.outcomes import Outcome, concatenate, mean_value
from mmdet_ext.evaluation.functional.parking_slots import match_points, match_slots
from mmdet_ext.evaluation.functional.polygons import match_polygons, mean_average_precision
from mmdet_ext.evaluation.functional.precision_recall import average_precision, operating_point

_CURVE = ('precision', 'recall', 'f1', 'ap')
_OPTIONAL = ('directions', 'shapes', 'occupied_scores')
_SLOT_VALUES = (
    'corner_error_px',
    'rear_corner_error_px',
    'angle_error_deg',
    'type_accuracy',
)


@dataclass
class _ImageResult:
    """Matches of one image; a kind of label that the file lacks is None."""

    img_id: int
    points: Outcome | None
    slots: Outcome | None
    polygons: dict[int, Outcome] | None


@METRICS.register_module()
class ParkingSlotMetric(BaseMetric):
    """Precision, recall, F1, AP and localisation of marking points and parking slots.

    Predictions and truths are matched one to one, best score first. A marking point matches within
    ``distance`` and, where labelled, ``max_angle`` and the same shape; a slot when both entrance
    corners, in order, lie within ``distance``. Precision, recall, F1 and the errors of matched
    pairs are read at the score of the best F1 over all images (``*/threshold``), also those per
    condition (``slot/f1@indoor``). Kinds of label missing in ``info.labels`` are skipped.

    Expects ``pred_instances`` with ``corners (M, 4, 2)``, ``scores``, ``labels`` and
    ``occupied_scores``, and ``pred_marking_points`` with ``points (N, 2)``, ``scores``,
    ``directions (N, 2)`` and ``shapes``, in pixels of the original image.

    Args:
        ann_file: Parking-slot COCO file with the truths.
        distance: Largest distance of a match in pixels of a 600-pixel-high image.
        max_angle: Largest angle between the directions of matched points in degrees.
        protocol: ``'strict'``, the one described above.
        per_condition: Also report each value of the images' ``condition`` if there are several.
        tags: Likewise each value of these tags of the images, such as ``('ground', 'marking')``.
        collect_device: ``'cpu'`` or ``'gpu'``, where ranks exchange results.
        prefix: Put before the names of all metrics.

    Raises:
        FileNotFoundError: ``ann_file`` is missing.
        ValueError: ``ann_file`` is not valid or ``protocol`` is unknown.
    """

    def __init__(
        self,
        ann_file: str,
        distance: float = 10.0,
        max_angle: float = 30.0,
        protocol: str = 'strict',
        *,
        per_condition: bool = True,
        tags: Sequence[str] = (),
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if protocol != 'strict':
            raise ValueError(f"ParkingSlotMetric: protocol is {protocol!r}; expected 'strict'.")
        self.distance = distance
        self.max_angle = max_angle
        self.per_condition = per_condition
        self.tags = tuple(tags)
        self.truth = read_parking_slot_coco(ann_file)
        self.images = {image.image_id: image for image in self.truth.images}
        self._said = False

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Match the predictions of a batch.

        Args:
            data_batch: Not used.
            data_samples: Predictions as dictionaries; see the class.
        """
        self.results += [self._match(sample) for sample in data_samples]

    def _match(self, sample: dict) -> _ImageResult:
        truth = self._truth_of(sample)
        result = _ImageResult(truth.image_id, None, None, None)
        if 'marking_points' in self.truth.labels:
            points = _arrays(sample, 'pred_marking_points', ('points', 'scores'))
            result.points = match_points(points, truth, self.distance, self.max_angle)
        if 'slots' in self.truth.labels:
            slots = _arrays(sample, 'pred_instances', ('corners', 'scores', 'labels'))
            result.slots = match_slots(slots, truth, self.distance)
            result.polygons = match_polygons(
                slots['corners'], slots['labels'], slots['scores'], truth.corners, truth.slot_types
            )
        return result

    def _truth_of(self, sample: dict) -> ParkingImage:
        truth = self.images.get(sample['img_id'])
        if truth is None:
            raise ValueError(
                f'ParkingSlotMetric: {self.truth.path} has no image with id {sample["img_id"]!r} '
                f'({sample.get("img_path", "of the dataset")}); give the metric the `ann_file` of '
                'its dataloader.'
            )
        height, width = sample['ori_shape'][:2]
        if (width, height) != (truth.width, truth.height):
            raise ValueError(
                f'{self.truth.path}: {truth.file_name} is {truth.width} x {truth.height} there, but '
                f'the loaded image is {width} x {height}; correct width and height and the labels.'
            )
        return truth

    def compute_metrics(self, results: list[_ImageResult]) -> dict[str, float]:
        """Compute all metrics and log them as a table.

        Args:
            results: Matches of all images; repeated images are dropped.

        Returns:
            Metrics by name.
        """
        results = list({result.img_id: result for result in results}.values())
        self._say_what_is_skipped(len(results))
        groups = {'': results, **self._by_condition(results)}
        metrics = {}
        for kind, name in (('points', 'point'), ('slots', 'slot')):
            outcomes = [getattr(result, kind) for result in results]
            if not outcomes or outcomes[0] is None:
                continue
            whole = concatenate(outcomes)
            threshold = operating_point(whole.scores, whole.hits, whole.num_truths)['threshold']
            metrics[f'{name}/threshold'] = threshold
            for suffix, group in groups.items():
                figures = _figures(group, kind, threshold, self.truth.labels)
                metrics |= {f'{name}/{key}{suffix}': value for key, value in figures.items()}
            print_log('\n' + _table(name, metrics, groups), logger='current')
        return metrics

    def _by_condition(self, results: list[_ImageResult]) -> dict[str, list[_ImageResult]]:
        """Results of each condition and of each value of the tags, by the suffix of their metrics."""
        kinds = [lambda image: image.condition or 'none'] if self.per_condition else []
        kinds += [lambda image, tag=tag: image.tags.get(tag, f'no {tag}') for tag in self.tags]
        found = {}
        for value_of in kinds:
            groups = {}
            for result in results:
                groups.setdefault(f'@{value_of(self.images[result.img_id])}', []).append(result)
            found |= dict(sorted(groups.items())) if len(groups) > 1 else {}
        return found

    def _say_what_is_skipped(self, seen: int) -> None:
        if seen < len(self.images):
            print_log(
                f'ParkingSlotMetric: {seen} of the {len(self.images)} images of {self.truth.path} '
                'were predicted; only these are evaluated.',
                logger='current',
            )
        missing = [
            kind
            for kind in ('marking_points', 'slots', 'occupancy')
            if kind not in self.truth.labels
        ]
        if missing and not self._said:
            self._said = True
            print_log(
                f'ParkingSlotMetric: {self.truth.path} is not labelled with {", ".join(missing)}; '
                'their metrics are skipped.',
                logger='current',
            )


def _arrays(sample: dict, name: str, required: Sequence[str]) -> dict[str, np.ndarray]:
    instances = sample.get(name)
    fields = {} if instances is None else instances
    fields = fields if isinstance(fields, Mapping) else dict(fields.items())
    missing = [key for key in required if key not in fields]
    if missing:
        raise ValueError(
            f'ParkingSlotMetric: the prediction of image {sample["img_id"]!r} has no '
            f'`{name}` with {missing} (found {sorted(fields)}); this metric needs a parking-slot '
            'model such as ParkingSlotDetector.'
        )
    return {
        key: value.detach().cpu().double().numpy()
        if isinstance(value, torch.Tensor)
        else np.asarray(value)
        for key, value in fields.items()
        if key in required or key in _OPTIONAL
    }


def _figures(
    results: list[_ImageResult], kind: str, threshold: float, labels: Sequence[str]
) -> dict[str, float]:
    outcome = concatenate([getattr(result, kind) for result in results])
    counted = (outcome.scores, outcome.hits, outcome.num_truths)
    point = operating_point(*counted, threshold)
    figures = {key: point[key] for key in ('precision', 'recall', 'f1')}
    figures['ap'] = average_precision(*counted)
    names = ['error_px'] if kind == 'points' else list(_SLOT_VALUES)
    if kind == 'slots':
        figures['map_polygon'] = mean_average_precision([result.polygons for result in results])
        if 'occupancy' in labels:
            names.append('occupancy_accuracy')
        if np.isfinite(outcome.values['corner_error_cm']).any():
            names.append('corner_error_cm')
    return figures | {key: mean_value(outcome, key, threshold) for key in names}


def _table(name: str, metrics: dict[str, float], groups: dict[str, list]) -> str:
    keys = [key.split('/')[1] for key in metrics if key.startswith(f'{name}/') and '@' not in key]
    keys.remove('threshold')
    title = f'{name}s, read at score >= {metrics[f"{name}/threshold"]:.3f} (best F1)'
    table = Table(title=title, box=box.SIMPLE, title_justify='left')
    table.add_column('condition')
    for key in ('images', *keys):
        table.add_column(key.replace('_', '\n'), justify='right')
    for suffix, group in groups.items():
        values = [metrics.get(f'{name}/{key}{suffix}', float('nan')) for key in keys]
        digits = [4 if key in _CURVE or 'accuracy' in key or 'map' in key else 2 for key in keys]
        cells = [f'{v:.{d}f}' for v, d in zip(values, digits, strict=True)]
        table.add_row(suffix[1:] or 'all', str(len(group)), *cells)
    text = StringIO()
    Console(file=text, width=160).print(table)
    return '\n'.join(line.rstrip() for line in text.getvalue().strip().splitlines())
