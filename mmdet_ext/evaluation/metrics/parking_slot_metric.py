"""Metric of marking points and parking slots."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from rich import box
from rich.console import Console
from rich.table import Table

from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage, read_parking_slot_coco
from mmdet_ext.evaluation.functional.breakdown import (
    DISTANCE_BINS,
    by_ego_distance,
    by_slot_type,
)
from mmdet_ext.evaluation.functional.outcomes import Outcome, mean_value, select
from mmdet_ext.evaluation.functional.parking_slots import Rows, truths_of
from mmdet_ext.evaluation.functional.polygons import match_polygons, mean_average_precision
from mmdet_ext.evaluation.functional.precision_recall import balanced_threshold, operating_point
from mmdet_ext.evaluation.functional.protocols import PROTOCOLS
from mmdet_ext.evaluation.metrics.samples import SampleReader, flat_rows

_RATIOS = ('precision', 'recall', 'f1')
_POINT_VALUES = ('error_px',)
_POLYGON_KEYS = ('corners', 'labels', 'images')
_SLOT_VALUES = ('corner_error_px', 'rear_corner_error_px', 'angle_error_deg', 'type_accuracy')


@dataclass
class _ImageResult:
    """Predictions for one image; a kind of label that the file lacks is None."""

    img_id: int
    points: Rows | None = None
    slots: Rows | None = None


@dataclass
class _Group:
    """Part of the outcomes that gets figures of its own; of polygons None means: no figure."""

    outcome: Outcome
    polygons: Outcome | None = None
    images: int | None = None


@METRICS.register_module()
class ParkingSlotMetric(BaseMetric):
    """Precision, recall, F1, AP and localisation of marking points and parking slots.

    How predictions are matched and where the figures are read depends on ``protocol``; what each
    does is told in :mod:`mmdet_ext.evaluation.functional.protocols`:

    - ``'strict'``: one to one, best score first. A point matches within ``distance`` and, where
      labelled, ``max_angle`` and the same shape; a slot when both entrance corners, in order, lie
      within ``distance``. Read at the best F1; the AP is the area under the curve.
    - ``'dmpr'``: as published with DMPR-PS, quirks included (11-point AP).
    - ``'pil'``: as published with PIL-park: area and place of the quadrilaterals of empty slots.
    - ``'crps'``: as published with CRPS-D: DMPR-PS's matches that also agree in angle.

    Precision, recall, F1 and the errors of matched pairs are read at one score over all images
    (``*/threshold``), also those of a part of the images (``slot/f1@indoor``) or of the slots
    (``slot/recall@parallel``, ``slot/recall@2-4m``). ``slot/map_polygon``, COCO's mAP of the
    quadrilaterals by class, is the same in all protocols. Kinds of label missing in ``info.labels``
    are skipped.

    Without any prediction recall, F1 and AP are 0 and precision is NaN; without truths precision
    and F1 are 0 and recall and AP are NaN; without both all are NaN. A prediction with coordinates
    that are not finite is a false positive; one with a NaN score is left out, and the log says so.
    Corners outside the image count like any others (but see ``'dmpr'``), and so do slots without
    area, whose polygon overlap is 0 and whose angle is unknown. The order of images and predictions
    never matters.

    Expects ``pred_instances`` with ``corners (M, 4, 2)``, ``scores``, ``labels`` and
    ``occupied_scores``, and ``pred_marking_points`` with ``points (N, 2)``, ``scores``,
    ``directions (N, 2)`` and ``shapes``, in pixels of the original image.

    Args:
        ann_file: Parking-slot COCO file with the truths.
        distance: Largest distance of a match in pixels of a 600-pixel-high image. None: that of
            the protocol, 10. Of ``'pil'`` it concerns points only.
        max_angle: Largest angle between the directions of matched points in degrees. None: that of
            the protocol, 30.
        protocol: ``'strict'``, ``'dmpr'``, ``'pil'`` or ``'crps'``.
        score_thr: Read precision, recall, F1 and errors at this score, or with ``'balanced'`` at the best F1
            where precision and recall differ by less than 0.02. None: where the protocol reads them.
        per_condition: Also report each value of the images' ``condition`` if there are several.
        tags: Likewise each value of these tags of the images, such as ``('ground', 'marking')``.
        per_type: Also report each slot type if there are several; that of a match is the truth's,
            of a false positive its own. A type named like a condition is called ``@type slanted``.
        per_distance: Likewise each distance of the entrance's middle from the ego car, which stands
            at the centre of the image.
        distance_bins: Metres between those bins. Images without ``metres_per_pixel`` have bins in
            pixels of 600, 60 for each metre as in ps2.0.
        collect_device: ``'cpu'`` or ``'gpu'``, where ranks exchange results.
        prefix: Put before the names of all metrics.

    Attributes:
        outcomes: What the last evaluation counted, by kind: ``point`` and ``slot``.

    Raises:
        FileNotFoundError: ``ann_file`` is missing.
        ValueError: ``ann_file`` is not valid, ``protocol`` is unknown or ``score_thr`` is no score.
    """

    def __init__(
        self,
        ann_file: str,
        distance: float | None = None,
        max_angle: float | None = None,
        protocol: str = 'strict',
        *,
        score_thr: float | str | None = None,
        per_condition: bool = True,
        tags: Sequence[str] = (),
        per_type: bool = False,
        per_distance: bool = False,
        distance_bins: Sequence[float] = DISTANCE_BINS,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if protocol not in PROTOCOLS:
            raise ValueError(
                f'ParkingSlotMetric: protocol is {protocol!r}; expected '
                f"'strict', 'dmpr', 'pil' or 'crps'."
            )
        if not (score_thr in (None, 'balanced') or _is_score(score_thr)):
            raise ValueError(
                f"ParkingSlotMetric: score_thr is {score_thr!r}; expected a number from 0 to 1, 'balanced' "
                'or None.'
            )
        self.score_thr = score_thr
        limits = {'distance': distance, 'max_angle': max_angle}
        self.protocol = PROTOCOLS[protocol](**{k: v for k, v in limits.items() if v is not None})
        self.per_condition = per_condition
        self.tags = tuple(tags)
        self.per_type = per_type
        self.distance_bins = tuple(distance_bins) if per_distance else None
        self.truth = read_parking_slot_coco(ann_file)
        self.samples = SampleReader(self.truth, 'ParkingSlotMetric')
        self.outcomes: dict[str, Outcome] = {}
        self._said = False

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Take the predictions of a batch.

        Args:
            data_batch: Not used.
            data_samples: Predictions as dictionaries; see the class.
        """
        for sample in data_samples:
            truth = self.samples.truth_of(sample)
            result = _ImageResult(truth.image_id)
            if 'marking_points' in self.truth.labels:
                result.points = self.samples.points(sample, truth)
            if 'slots' in self.truth.labels:
                result.slots = self.samples.slots(sample)
            self.results.append(result)

    def compute_metrics(self, results: list[_ImageResult]) -> dict[str, float]:
        """Compute all metrics and log them as a table.

        Args:
            results: Predictions for all images; repeated images are dropped.

        Returns:
            Metrics by name.
        """
        by_id = {result.img_id: result for result in results}
        results = [by_id[img_id] for img_id in sorted(by_id)]
        self._say_what_is_skipped(len(results))
        if not results:
            return {}
        images = [self.samples.images[result.img_id] for result in results]
        frames, true_points, true_slots = truths_of(images)
        metrics = {}
        if results[0].points is not None:
            points = self._flat([result.points for result in results])
            outcome = self.protocol.match_points(points, true_points, frames)
            groups = _image_groups(_Group(outcome), self._image_parts(images))
            metrics |= self._evaluate(groups, 'point')
        if results[0].slots is not None:
            slots = self._flat([result.slots for result in results])
            outcome = self.protocol.match_slots(slots, true_slots, frames)
            predicted, true = ([r[key] for key in _POLYGON_KEYS] for r in (slots, true_slots))
            polygons = match_polygons(*predicted, *true, slots['scores'])
            groups = _image_groups(_Group(outcome, polygons), self._image_parts(images))
            groups |= self._slot_groups(groups, images)
            metrics |= self._evaluate(groups, 'slot')
        return metrics

    def _flat(self, predictions: list[Rows]) -> Rows:
        rows, left_out = flat_rows(predictions)
        if left_out:
            self._say(f'{left_out} predictions with a score of NaN are left out.')
        return rows

    def _evaluate(self, groups: dict[str, _Group], kind: str) -> dict[str, float]:
        self.outcomes[kind] = groups[''].outcome
        threshold, reading = self._threshold(groups[''].outcome, kind)
        metrics = {f'{kind}/threshold': threshold}
        for suffix, group in groups.items():
            figures = self._figures(group, kind, threshold)
            metrics |= {f'{kind}/{key}{suffix}': value for key, value in figures.items()}
        print_log('\n' + _table(kind, metrics, groups, reading), logger='current')
        return metrics

    def _threshold(self, outcome: Outcome, kind: str) -> tuple[float, str]:
        """Where the figures are read, and why."""
        if self.score_thr is None:
            return self.protocol.threshold(outcome, kind)
        if self.score_thr == 'balanced':
            counted = (outcome.scores, outcome.hits, outcome.num_truths)
            return balanced_threshold(*counted), 'precision and recall alike'
        return float(self.score_thr), 'as asked for'

    def _image_parts(self, images: list[ParkingImage]) -> dict[str, np.ndarray]:
        """Images of each condition and each value of the tags, by the suffix of their metrics."""
        kinds = [[image.condition or 'none' for image in images]] if self.per_condition else []
        kinds += [[image.tags.get(tag, f'no {tag}') for image in images] for tag in self.tags]
        parts = {'': np.arange(len(images))}
        for values in kinds:
            names, rows = np.unique(values, return_inverse=True)
            if len(names) > 1:
                parts |= {f'@{name}': np.flatnonzero(rows == k) for k, name in enumerate(names)}
        return parts

    def _slot_groups(
        self, groups: dict[str, _Group], images: list[ParkingImage]
    ) -> dict[str, _Group]:
        """Outcomes of each slot type and of each bin of distance, each if there are several."""
        types = self._types(groups) if self.per_type else {}
        bins = self._bins(groups[''].outcome, images) if self.distance_bins is not None else {}
        return {
            name: group for part in (types, bins) if len(part) > 1 for name, group in part.items()
        }

    def _types(self, groups: dict[str, _Group]) -> dict[str, _Group]:
        whole, found = groups[''], {}
        for label, part in by_slot_type(whole.outcome, len(self.truth.classes)).items():
            name = self.truth.classes[label]
            polygons = select(whole.polygons, 'label', lambda labels, k=label: labels == k)
            suffix = f'@type {name}' if f'@{name}' in groups else f'@{name}'
            found[suffix] = _Group(part, polygons)
        return found

    def _bins(self, outcome: Outcome, images: list[ParkingImage]) -> dict[str, _Group]:
        known, found = np.array([image.metres_per_pixel is not None for image in images]), {}
        for in_metres in (True, False):
            rows = np.flatnonzero(known == in_metres)
            part = select(outcome, 'image', lambda owners, rows=rows: np.isin(owners, rows))
            bins = by_ego_distance(part, in_metres, self.distance_bins)
            found |= {f'@{name}': _Group(outcome) for name, outcome in bins.items()}
        return found

    def _figures(self, group: _Group, kind: str, threshold: float) -> dict[str, float]:
        outcome = group.outcome
        counted = (outcome.scores, outcome.hits, outcome.num_truths)
        ratios = operating_point(*counted, threshold)
        figures = {key: ratios[key] for key in _RATIOS}
        figures['ap'] = self.protocol.average_precision(outcome)
        if self.protocol.fixed_threshold is not None:
            fixed = operating_point(*counted, self.protocol.fixed_threshold)
            at = f'_at_{self.protocol.fixed_threshold:g}'
            figures |= {f'{key}{at}': fixed[key] for key in _RATIOS}
        if group.polygons is not None:
            figures['map_polygon'] = mean_average_precision(group.polygons)
        names = list(_POINT_VALUES if kind == 'point' else _SLOT_VALUES)
        if kind == 'slot':
            names += ['occupancy_accuracy'] * ('occupancy' in self.truth.labels)
            names += ['corner_error_cm'] * bool(
                np.isfinite(outcome.values['corner_error_cm']).any()
            )
        return figures | {name: mean_value(outcome, name, threshold) for name in names}

    def _say_what_is_skipped(self, seen: int) -> None:
        path, images = self.truth.path, self.truth.images
        if seen < len(images):
            self._say(
                f'{seen} of the {len(images)} images of {path} were predicted; only these are '
                'evaluated.'
            )
        kinds = ('marking_points', 'slots', 'occupancy')
        missing = [kind for kind in kinds if kind not in self.truth.labels]
        if missing and not self._said:
            self._said = True
            self._say(
                f'{path} is not labelled with {", ".join(missing)}; their metrics are skipped.'
            )

    def _say(self, sentence: str) -> None:
        print_log(f'ParkingSlotMetric: {sentence}', logger='current')


def _is_score(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= 1


def _image_groups(whole: _Group, parts: dict[str, np.ndarray]) -> dict[str, _Group]:
    groups = {}
    for suffix, rows in parts.items():
        selected = [
            None
            if part is None
            else select(part, 'image', lambda images, rows=rows: np.isin(images, rows))
            for part in (whole.outcome, whole.polygons)
        ]
        groups[suffix] = _Group(*selected, len(rows))
    return groups


def _table(kind: str, metrics: dict[str, float], groups: dict[str, _Group], reading: str) -> str:
    keys = [key.split('/')[1] for key in metrics if key.startswith(f'{kind}/') and '@' not in key]
    keys.remove('threshold')
    title = f'{kind}s, read at score >= {metrics[f"{kind}/threshold"]:.3f} ({reading})'
    table = Table(title=title, box=box.SIMPLE, title_justify='left')
    table.add_column('condition')
    for key in ('images', 'truths', *keys):
        table.add_column(key.replace('_', '\n'), justify='right')
    for suffix, group in groups.items():
        values = [metrics.get(f'{kind}/{key}{suffix}', float('nan')) for key in keys]
        digits = [2 if 'error' in key else 4 for key in keys]
        cells = [f'{v:.{d}f}' for v, d in zip(values, digits, strict=True)]
        images = '' if group.images is None else str(group.images)
        table.add_row(suffix[1:] or 'all', images, str(group.outcome.num_truths), *cells)
    text = StringIO()
    Console(file=text, width=200).print(table)
    return '\n'.join(line.rstrip() for line in text.getvalue().strip().splitlines())
