"""Fusion of the slots and marking points that several models found."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.structures import InstanceData

from mmdet_ext.apis.report.inputs import read_inputs
from mmdet_ext.apis.result_fusion import FusionReport, check_files, checked_weights
from mmdet_ext.evaluation.metrics import ParkingSlotMetric
from mmdet_ext.evaluation.quiet import evaluate_quietly
from mmdet_ext.models.test_time_augs.merging import View, merge_views
from mmdet_ext.utils.files import write_whole

_METRICS = ('slot/f1', 'slot/ap', 'slot/corner_error_px', 'point/f1', 'point/ap')

Samples = dict[Any, Mapping[str, Any]]
"""Predictions by the id of their image."""


def fuse_slot_results(
    files: Sequence[str | Path],
    out: str | Path,
    annotations: str | Path,
    *,
    weights: Sequence[float] | None = None,
    point_radius: float = 10.0,
    slot_radius: float = 30.0,
) -> FusionReport:
    """Fuse predictions of several parking-slot models as test-time augmentation merges copies.

    A slot or point that a model does not find loses the share of that model's weight; see
    :func:`~mmdet_ext.models.test_time_augs.merging.merge_views`. The models should be about
    equally good, and unlike.

    Args:
        files: What ``tools/test.py --out`` wrote for each model.
        out: Pickle to write, of the same form: ``tools/analysis/report.py`` reads it.
        annotations: Parking-slot COCO file of the images.
        weights: One per file; by default all count the same.
        point_radius: Points this close are one, pixels of a 600-pixel-high image.
        slot_radius: Slots whose entrance corners are this close, in order, are one, likewise.

    Returns:
        For each file and for the fusion numbers and metrics of :class:`ParkingSlotMetric`.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: An option is out of range, a file is not what it should be, or they do not fit together.
    """
    files = [Path(file) for file in files]
    weights = checked_weights(files, weights)
    check_files(files, Path(out))
    _check_output(Path(out), point_radius, slot_radius)
    results = [_read(file, annotations) for file in files]
    every = list(dict.fromkeys(key for samples in results for key in samples))
    fused = {
        key: _fused(
            [
                (samples[key], w)
                for samples, w in zip(results, weights, strict=True)
                if key in samples
            ],
            point_radius,
            slot_radius,
        )
        for key in every
    }
    write_whole(Path(out), pickle.dumps(list(fused.values())))
    rows = [
        _row(str(file), weight, samples, annotations)
        for file, weight, samples in zip(files, weights, results, strict=True)
    ]
    rows.append(_row('fused', None, fused, annotations))
    return FusionReport(rows, _partial(files, results, len(every)))


def _check_output(out: Path, point_radius: float, slot_radius: float) -> None:
    if out.suffix not in ('.pkl', '.pickle'):
        raise ValueError(f'{out}: fused slots are pickled, end the name in .pkl or .pickle.')
    for name, radius in (('point', point_radius), ('slot', slot_radius)):
        if not 0 < radius < float('inf'):
            raise ValueError(f'The {name} radius is {radius}; give a positive number of pixels.')


def _read(file: Path, annotations: str | Path) -> Samples:
    if file.suffix not in ('.pkl', '.pickle'):
        raise ValueError(
            f'{file} is no pickle, and only those of tools/test.py --out hold slots and marking points; '
            'leave out --slots to fuse boxes.'
        )
    inputs = read_inputs(file, annotations)
    for sample in inputs.samples:
        for name, key in (('pred_instances', 'corners'), ('pred_marking_points', 'points')):
            if key not in sample.get(name, {}):
                raise ValueError(
                    f'{file}: the prediction of image {sample["img_id"]!r} has no `{name}.{key}`; '
                    'give results of a parking-slot detector, or leave out --slots to fuse boxes.'
                )
    return {sample['img_id']: sample for sample in inputs.samples}


def _fused(
    found: Sequence[tuple[Mapping[str, Any], float]], point_radius: float, slot_radius: float
) -> dict[str, Any]:
    """Prediction of one image of all models that have seen it."""
    first = found[0][0]
    height, width = first['ori_shape'][:2]
    views = [
        View(
            InstanceData(**sample['pred_instances']),
            InstanceData(**sample['pred_marking_points']),
            weight,
        )
        for sample, weight in found
    ]
    slots, points = merge_views(views, width, height, point_radius, slot_radius)
    return {
        **first,
        'pred_instances': dict(slots.items()),
        'pred_marking_points': dict(points.items()),
    }


def _row(
    name: str, weight: float | None, samples: Samples, annotations: str | Path
) -> dict[str, Any]:
    counts = {
        'images': len(samples),
        'slots': sum(len(sample['pred_instances']['scores']) for sample in samples.values()),
        'points': sum(len(sample['pred_marking_points']['scores']) for sample in samples.values()),
    }
    metric = ParkingSlotMetric(str(annotations), per_condition=False)
    values = evaluate_quietly(metric, list(samples.values()))
    known = {key: values[key] for key in _METRICS if key in values}
    return {'name': name, 'weight': weight, **counts, **known}


def _partial(files: Sequence[Path], results: Sequence[Samples], count: int) -> list[str]:
    return [
        f'{file} has {len(samples):,} of the {count:,} images: in the others the other models decide.'
        for file, samples in zip(files, results, strict=True)
        if len(samples) < count
    ]
