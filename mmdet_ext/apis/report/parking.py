"""What a report has besides for parking slots: their quadrilaterals, entrances and marking points."""

from dataclasses import replace

import numpy as np

from mmdet_ext.apis.report.figures import ReportFigures, distance_groups
from mmdet_ext.apis.report.inputs import ReportInputs, to_array
from mmdet_ext.evaluation import ParkingSlotMetric
from mmdet_ext.evaluation.functional.detections import Overlaps, find_overlaps
from mmdet_ext.evaluation.functional.outcomes import Outcome
from mmdet_ext.evaluation.functional.parking_slots import truths_of
from mmdet_ext.evaluation.functional.polygons import polygon_iou, polygons_of
from mmdet_ext.evaluation.metrics.samples import flat_rows

_LOWEST_IOU = 0.1
_TOUCHING = 1e-9
_VALUES = {
    'corner_error_px': ('Entrance corners', 'Mean error, pixels of a 600-pixel-high image'),
    'rear_corner_error_px': ('Rear corners', 'Mean error, pixels of a 600-pixel-high image'),
    'angle_error_deg': ('Separating lines', 'Mean angle error, degrees'),
    'error_px': ('Marking points', 'Error, pixels of a 600-pixel-high image'),
}


def has_slots(inputs: ReportInputs) -> bool:
    """Whether this is parking-slot COCO with slots, predicted with their corners."""
    labels = (inputs.content.get('info') or {}).get('labels', ())
    return 'slots' in labels and all('corners' in s['pred_instances'] for s in inputs.samples)


def slot_overlaps(inputs: ReportInputs) -> Overlaps:
    """Predicted and true slots of the same image whose quadrilaterals overlap by an IoU of 0.1.

    Args:
        inputs: Predictions with ``corners`` and truths with four ``keypoints``.

    Returns:
        The overlaps.
    """
    corners, true_corners = _predicted_corners(inputs), _true_corners(inputs)
    near = find_overlaps(
        replace(inputs.detections, boxes=_bounds(corners)),
        replace(inputs.truths, boxes=_bounds(true_corners)),
        _TOUCHING,
    )
    polygons, true_polygons = polygons_of(corners), polygons_of(true_corners)
    near.iou = polygon_iou(polygons[near.detections], true_polygons[near.truths])
    return near.select(near.iou >= _LOWEST_IOU)


def _bounds(corners: np.ndarray) -> np.ndarray:
    return np.hstack([corners.min(1), corners.max(1)])


def _predicted_corners(inputs: ReportInputs) -> np.ndarray:
    parts = [to_array(sample['pred_instances']['corners']) for sample in inputs.samples]
    counts = np.array([len(part) for part in parts], np.int64)
    starts = np.cumsum(counts) - counts
    everything = np.concatenate([np.zeros((0, 4, 2)), *parts])
    return everything[starts[inputs.detections.images] + inputs.rows]


def _true_corners(inputs: ReportInputs) -> np.ndarray:
    keypoints = [entry['keypoints'] for entry in inputs.annotations]
    return np.array(keypoints, np.float64).reshape(-1, 4, 3)[..., :2]


def add_parking_figures(inputs: ReportInputs, figures: ReportFigures) -> None:
    """Add the figures of ``ParkingSlotMetric`` and the curves and errors that it computes them from.

    Slots and marking points become classes of their own in the curves: a slot is right if both
    entrance corners, a marking point if it is within 10 pixels of a 600-pixel-high image.

    Args:
        inputs: Predictions and truths.
        figures: Extended in place.

    Raises:
        ValueError: Predictions do not have what the annotation file is labelled with.
    """
    tags = sorted({tag for image in inputs.images for tag in image.get('tags') or ()})
    metric = ParkingSlotMetric(str(inputs.ann_file), tags=tags, per_type=True, per_distance=True)
    metric.process(None, inputs.samples)
    figures.parking = metric.compute_metrics(metric.results)
    for kind, (name, outcome) in _outcomes(inputs, metric).items():
        figures.outcomes[name] = outcome
        kept = outcome.hits & (outcome.scores >= figures.parking[f'{kind}/threshold'])
        for key, (title, unit) in _VALUES.items():
            if key in outcome.values:
                figures.localisation[title] = outcome.values[key][kept]
                figures.units[title] = unit
        distances, unit = outcome.truth_values.get('ego_distance'), _distance_unit(inputs)
        if distances is not None and unit:
            figures.groups |= distance_groups(inputs, figures, distances, unit)


def _outcomes(inputs: ReportInputs, metric: ParkingSlotMetric) -> dict[str, tuple[str, Outcome]]:
    """What ``ParkingSlotMetric`` computes its figures from, by kind: a name for it and the outcome."""
    images = [metric.samples.truth_of(sample) for sample in inputs.samples]
    frames, points, slots = truths_of(images)
    predicted, _ = flat_rows([metric.samples.slots(sample) for sample in inputs.samples])
    outcome = metric.protocol.match_slots(predicted, slots, frames)
    found = {'slot': ('slots within 10 px', outcome)}
    if 'marking_points' in metric.truth.labels:
        rows = [metric.samples.points(*each) for each in zip(inputs.samples, images, strict=True)]
        outcome = metric.protocol.match_points(flat_rows(rows)[0], points, frames)
        found['point'] = ('points within 10 px', outcome)
    return found


def _distance_unit(inputs: ReportInputs) -> str:
    """Unit of the distances from the ego car; empty if only some images are in metres."""
    metric = [image.get('metres_per_pixel') is not None for image in inputs.images]
    return 'm' if all(metric) else '' if any(metric) else 'px of 600'
