"""All numbers of a report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from mmdet_ext.apis.report.inputs import ReportInputs
from mmdet_ext.datasets.image_labels import condition_of
from mmdet_ext.evaluation.functional.calibration import expected_calibration_error
from mmdet_ext.evaluation.functional.confusion import (
    classification_accuracy,
    confusion_matrix,
    detection_accuracy,
)
from mmdet_ext.evaluation.functional.detection_matching import (
    SIZES,
    Matches,
    coco_average_precision,
    counted_labels,
    match_detections,
    outcomes_by_class,
    pooled,
)
from mmdet_ext.evaluation.functional.detections import Overlaps
from mmdet_ext.evaluation.functional.error_types import (
    average_precision_gains,
    find_errors,
)
from mmdet_ext.evaluation.functional.localisation import localisation_errors, matched_iou
from mmdet_ext.evaluation.functional.outcomes import Outcome
from mmdet_ext.evaluation.functional.precision_recall import (
    RECALL_GRID,
    average_precision,
    operating_point,
)
from mmdet_ext.evaluation.functional.threshold_curves import area_under_roc, image_scores

_MOST_GROUPS = 12  # a key with more values than that is an identity, not a condition

Row = dict[str, Any]


@dataclass
class ReportFigures:
    """Numbers of a report.

    Attributes:
        iou_threshold: Least overlap of a right prediction.
        threshold: Score from which predictions count wherever one is needed.
        outcomes: What curves are drawn of, by name: each class.
        matches: What each prediction was matched with.
        iou: IoU of each prediction with its truth, ``(P,)``, NaN without.
        confusion: Confusion matrix, ``(C + 1, C + 1)``.
        gains: Gain of AP by error type.
        error_counts: Errors among predictions from ``threshold`` on, by type.
        overall: Headline figures by name.
        classes: A row of figures per class.
        groups: Rows of figures by kind of group: size, distance, condition.
        localisation: Errors of matched predictions from ``threshold`` on, by title, ``(N,)`` each.
        units: What the horizontal axis of each of these is.
        parking: Figures of ``ParkingSlotMetric``, empty for other data.
    """

    iou_threshold: float
    threshold: float
    outcomes: dict[str, Outcome]
    matches: Matches
    iou: np.ndarray
    confusion: np.ndarray
    gains: dict[str, float]
    error_counts: dict[str, int]
    overall: Row = field(default_factory=dict)
    classes: list[Row] = field(default_factory=list)
    groups: dict[str, list[Row]] = field(default_factory=dict)
    localisation: dict[str, np.ndarray] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    parking: dict[str, float] = field(default_factory=dict)


def compute_figures(
    inputs: ReportInputs,
    overlaps: Overlaps,
    iou_threshold: float = 0.5,
    score_threshold: float | None = None,
) -> ReportFigures:
    """Compute all figures of a report but those that only parking slots have.

    Args:
        inputs: Predictions and truths.
        overlaps: Those of them that overlap, down to an IoU of 0.1.
        iou_threshold: Least overlap of a right prediction.
        score_threshold: Score from which predictions count; by default that of the best F1 over all
            predictions.

    Returns:
        The figures.
    """
    data = (inputs.detections, inputs.truths, overlaps)
    count = len(inputs.classes)
    matches = match_detections(*data, iou_threshold)
    outcomes = outcomes_by_class(data[0], counted_labels(inputs.truths), matches, count)
    whole = pooled(outcomes)
    if score_threshold is None:
        score_threshold = _point(whole, None)['threshold']
    errors = find_errors(*data, matches, iou_threshold)
    figures = ReportFigures(
        iou_threshold=iou_threshold,
        threshold=score_threshold,
        outcomes=dict(zip(inputs.classes, outcomes, strict=True)),
        matches=matches,
        iou=matched_iou(matches, overlaps),
        confusion=confusion_matrix(*data, count, score_threshold, iou_threshold),
        gains=average_precision_gains(*data[:2], matches, errors, count),
        error_counts=_errors_from(inputs, overlaps, matches, iou_threshold, score_threshold),
    )
    precisions = coco_average_precision(*data, count)
    figures.overall = _overall(inputs, figures, whole, precisions)
    figures.classes = _class_rows(inputs, figures, precisions)
    figures.groups = {'size': _size_rows(inputs, overlaps, figures)}
    figures.groups |= _condition_rows(inputs, figures)
    figures.groups |= distance_groups(inputs, figures, _labelled_distances(inputs), 'm')
    _add_localisation(inputs, figures)
    return figures


def _errors_from(
    inputs: ReportInputs,
    overlaps: Overlaps,
    matches: Matches,
    iou_threshold: float,
    threshold: float,
) -> dict[str, int]:
    kept = inputs.detections.scores >= threshold
    new_rows = np.cumsum(kept) - 1
    overlaps = overlaps.select(kept[overlaps.detections])
    overlaps.detections = new_rows[overlaps.detections]
    matches = Matches(matches.truths[kept], matches.left_out[kept])
    detections = inputs.detections.select(kept)
    return find_errors(detections, inputs.truths, overlaps, matches, iou_threshold).counts()


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float('nan')


def _point(outcome: Outcome, threshold: float | None) -> Row:
    return operating_point(outcome.scores, outcome.hits, outcome.num_truths, threshold)


def _overall(
    inputs: ReportInputs, figures: ReportFigures, whole: Outcome, precisions: np.ndarray
) -> Row:
    kept = inputs.detections.scores >= figures.threshold
    image_level = image_scores(inputs.detections, inputs.truths, len(inputs.images))
    scores = whole.scores
    probable = not len(scores) or (scores.min() >= 0 and scores.max() <= 1)
    return {
        'images': len(inputs.images),
        'truths': whole.num_truths,
        'predictions': len(scores),
        'ap': _mean(precisions),
        'ap50': _mean(precisions[:, 0]),
        'ap75': _mean(precisions[:, 5]),
        **_point(whole, figures.threshold),
        'mean_iou': _mean(figures.iou[kept]),
        'auc_predictions': area_under_roc(scores, whole.hits),
        'auc_images': area_under_roc(*image_level),
        'detection_accuracy': detection_accuracy(figures.confusion),
        'classification_accuracy': classification_accuracy(figures.confusion),
        'calibration_error': expected_calibration_error(scores, whole.hits) if probable else np.nan,
    }


def _class_rows(inputs: ReportInputs, figures: ReportFigures, precisions: np.ndarray) -> list[Row]:
    rows = []
    for label, (name, outcome) in enumerate(figures.outcomes.items()):
        best = _point(outcome, None)
        mine = (inputs.detections.labels == label) & (inputs.detections.scores >= best['threshold'])
        image_level = image_scores(inputs.detections, inputs.truths, len(inputs.images), label)
        rows.append(
            {
                'name': name,
                'images': int(image_level[1].sum()),
                'truths': outcome.num_truths,
                'predictions': len(outcome.scores),
                'ap': _mean(precisions[label]),
                'ap50': precisions[label, 0],
                'ap75': precisions[label, 5],
                **best,
                'mean_iou': _mean(figures.iou[mine]),
                'auc_predictions': area_under_roc(outcome.scores, outcome.hits),
                'auc_images': area_under_roc(*image_level),
            }
        )
    return rows


def _size_rows(inputs: ReportInputs, overlaps: Overlaps, figures: ReportFigures) -> list[Row]:
    detections, truths, count = inputs.detections, inputs.truths, len(inputs.classes)
    rows = []
    for name, areas in SIZES.items():
        matches = match_detections(detections, truths, overlaps, figures.iou_threshold, areas=areas)
        outcomes = outcomes_by_class(detections, counted_labels(truths, areas), matches, count)
        row = _group_row(name, outcomes, figures.threshold)
        row['ap'] = _mean(coco_average_precision(detections, truths, overlaps, count, areas))
        counted = (matches.truths >= 0) & (detections.scores >= figures.threshold)
        row['mean_iou'] = _mean(matched_iou(matches, overlaps)[counted])
        rows.append(row)
    return rows


def _group_row(name: str, outcomes: list[Outcome], threshold: float) -> Row:
    whole = pooled(outcomes)
    precisions = [average_precision(o.scores, o.hits, o.num_truths, RECALL_GRID) for o in outcomes]
    return {
        'name': name,
        'truths': whole.num_truths,
        'predictions': len(whole.scores),
        'ap_at_iou_threshold': _mean(np.array(precisions)),
        **_point(whole, threshold),
    }


def _condition_rows(inputs: ReportInputs, figures: ReportFigures) -> dict[str, list[Row]]:
    """Rows by the images' ``condition`` and tags; of those that say the same, the first."""
    tags = sorted({tag for image in inputs.images for tag in image.get('tags') or ()})
    groups, seen = {}, []
    for kind in ('condition', *tags):
        values = [condition_of(image, kind) for image in inputs.images]
        if 2 <= len(set(values)) <= _MOST_GROUPS and values not in seen:
            seen.append(values)
            groups[kind] = [
                _image_group_row(inputs, figures, value, np.array([v == value for v in values]))
                for value in sorted(set(values), key=str)
            ]
    return groups


def _image_group_row(
    inputs: ReportInputs, figures: ReportFigures, value: Any, chosen: np.ndarray
) -> Row:
    rows = chosen[inputs.detections.images]
    detections, truths = (
        inputs.detections.select(rows),
        inputs.truths.select(chosen[inputs.truths.images]),
    )
    matches = Matches(figures.matches.truths[rows], figures.matches.left_out[rows])
    outcomes = outcomes_by_class(detections, counted_labels(truths), matches, len(inputs.classes))
    row = _group_row('none' if value is None else str(value), outcomes, figures.threshold)
    row['images'] = int(chosen.sum())
    row['mean_iou'] = _mean(figures.iou[rows & (inputs.detections.scores >= figures.threshold)])
    return row


def _labelled_distances(inputs: ReportInputs) -> np.ndarray:
    values = [entry.get('distance') for entry in inputs.annotations]
    return np.array([v if isinstance(v, int | float) else np.nan for v in values], np.float64)


def distance_groups(
    inputs: ReportInputs, figures: ReportFigures, distances: np.ndarray, unit: str
) -> dict[str, list[Row]]:
    """Recall and IoU of four groups of equally many truths, near to far.

    There is no precision, since a false alarm has no true distance.

    Args:
        inputs: Predictions and truths.
        figures: Their figures so far.
        distances: Of each truth, ``(T,)``, NaN where unknown.
        unit: Of the distances.

    Returns:
        The rows under ``distance``; nothing where no distance is known.
    """
    known = np.isfinite(distances) & ~inputs.truths.crowd
    if not known.any():
        return {}
    found, iou = np.zeros(len(distances)), np.full(len(distances), np.nan)
    kept = (figures.matches.truths >= 0) & (inputs.detections.scores >= figures.threshold)
    found[figures.matches.truths[kept]] = 1
    iou[figures.matches.truths[kept]] = figures.iou[kept]
    edges = np.unique(np.quantile(distances[known], [0, 0.25, 0.5, 0.75, 1]).round(1))
    groups = np.where(known, np.searchsorted(edges[1:-1], distances, 'left'), -1)
    rows = [
        {
            'name': f'{low:g} to {high:g} {unit}',
            'truths': int((groups == k).sum()),
            'precision': float('nan'),
            'recall': _mean(found[groups == k]),
            'f1': float('nan'),
            'threshold': figures.threshold,
            'mean_iou': _mean(iou[groups == k]),
        }
        for k, (low, high) in enumerate(pairwise([*edges, edges[-1]][: max(len(edges), 2)]))
    ]
    return {'distance': rows}


def _add_localisation(inputs: ReportInputs, figures: ReportFigures) -> None:
    rows = np.flatnonzero(
        (figures.matches.truths >= 0) & (inputs.detections.scores >= figures.threshold)
    )
    boxes = inputs.truths.boxes[figures.matches.truths[rows]]
    errors = localisation_errors(inputs.detections.boxes[rows], boxes)
    shown = {
        'IoU': (figures.iou[rows], 'Intersection over union'),
        'Centre offset': (errors['centre_offset'], 'Pixels'),
        'Centre offset by size': (
            errors['relative_offset'],
            'Offset / square root of the true area',
        ),
        'Width': (errors['width_ratio'], 'Predicted / true width'),
        'Height': (errors['height_ratio'], 'Predicted / true height'),
    }
    figures.localisation = {title: values for title, (values, _) in shown.items()}
    figures.units = {title: unit for title, (_, unit) in shown.items()}


def image_errors(inputs: ReportInputs, figures: ReportFigures) -> dict[str, np.ndarray]:
    """What is right and wrong in each image at the threshold.

    Returns:
        ``right``, ``false`` and ``missed`` counts and ``mean_iou`` (NaN without matches), each
        ``(N,)``.
    """
    number = len(inputs.images)
    kept = (inputs.detections.scores >= figures.threshold) & ~figures.matches.left_out
    hit = kept & (figures.matches.truths >= 0)
    images = inputs.detections.images
    right = np.bincount(images[hit], minlength=number)
    truths = np.bincount(inputs.truths.images[~inputs.truths.crowd], minlength=number)
    total_iou = np.bincount(images[hit], figures.iou[hit], minlength=number)
    return {
        'right': right,
        'false': np.bincount(images[kept], minlength=number) - right,
        'missed': truths - right,
        'mean_iou': np.where(right > 0, total_iou / np.maximum(right, 1), np.nan),
    }


def table_rows(figures: ReportFigures) -> Iterable[Mapping[str, Any]]:
    """All figures as rows of one table, each with its ``group`` and ``name``."""
    yield {'group': 'overall', 'name': 'all', **figures.overall}
    yield from ({'group': 'class', **row} for row in figures.classes)
    for kind, rows in figures.groups.items():
        yield from ({'group': kind, **row} for row in rows)
