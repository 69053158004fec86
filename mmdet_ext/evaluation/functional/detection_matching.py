"""One-to-one matching of predicted with labelled boxes, over all images at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmdet_ext.evaluation.functional.detections import (
    Detections,
    Overlaps,
    Truths,
    box_areas,
)
from mmdet_ext.evaluation.functional.outcomes import Outcome
from mmdet_ext.evaluation.functional.precision_recall import (
    IOU_THRESHOLDS,
    RECALL_GRID,
    average_precision,
)

SIZES = {'small': (0, 32**2), 'medium': (32**2, 96**2), 'large': (96**2, np.inf)}
"""Areas in square pixels from and to, as in COCO."""


@dataclass
class Matches:
    """What each prediction was matched with.

    Attributes:
        truths: Row of the truth, ``(P,)``, -1 for none or an ignored one.
        left_out: Whether the prediction counts neither as right nor as wrong, ``(P,)``.
    """

    truths: np.ndarray
    left_out: np.ndarray


def match_detections(
    detections: Detections,
    truths: Truths,
    overlaps: Overlaps,
    iou_threshold: float = 0.5,
    *,
    class_agnostic: bool = False,
    areas: tuple[float, float] | None = None,
) -> Matches:
    """Let each prediction, best score first, take the truth it overlaps most that is still free.

    As in COCO, a prediction that finds no other free truth may fall to an ignored one and is then
    left out. Ignored are crowds, each of which takes any number of predictions, and truths whose
    area is out of range; predictions out of range without a match are left out likewise. Equal
    scores are served by overlap and then by coordinates, so that the order of rows never matters.
    Predictions below a threshold take nothing from those above it: it may be applied afterwards.

    Args:
        detections: P predictions.
        truths: T truths.
        overlaps: Of :func:`find_overlaps`, down to the threshold at least.
        iou_threshold: Least overlap of a match.
        class_agnostic: Let classes differ, for confusions.
        areas: Least and largest area in square pixels that counts.

    Returns:
        Matches of the predictions.
    """
    ignored = truths.crowd | _out_of_range(truths.areas, areas)
    candidates = overlaps.iou >= iou_threshold
    if not class_agnostic:
        candidates &= overlaps.same_class
    overlaps = overlaps.select(candidates)
    firsts = (-overlaps.iou, ignored[overlaps.truths], -detections.scores[overlaps.detections])
    order = np.lexsort(firsts)
    matched = _first_come(overlaps.select(order), len(detections.scores), truths.crowd)
    to_ignored = (matched >= 0) & np.append(ignored, False)[matched]
    small_or_large = _out_of_range(box_areas(detections.boxes), areas)
    left_out = to_ignored | ((matched < 0) & small_or_large)
    return Matches(np.where(to_ignored, -1, matched), left_out)


def _out_of_range(values: np.ndarray, limits: tuple[float, float] | None) -> np.ndarray:
    lowest, highest = limits or (-np.inf, np.inf)
    return (values < lowest) | (values > highest)


def _first_come(overlaps: Overlaps, count: int, crowd: np.ndarray) -> np.ndarray:
    """Truth of each prediction when overlaps are served in their order; lists are fastest here."""
    matched = [-1] * count
    free = [True] * len(crowd)
    unlimited = crowd.tolist()
    for row, column in zip(overlaps.detections.tolist(), overlaps.truths.tolist(), strict=True):
        if matched[row] < 0 and free[column]:
            matched[row] = column
            free[column] = unlimited[column]
    return np.array(matched, np.int64)


def counted_labels(truths: Truths, areas: tuple[float, float] | None = None) -> np.ndarray:
    """Classes of the truths that are to be found: no crowds, and none out of range."""
    return truths.labels[~truths.crowd & ~_out_of_range(truths.areas, areas)]


def outcomes_by_class(
    detections: Detections, true_labels: np.ndarray, matches: Matches, num_classes: int
) -> list[Outcome]:
    """Sort predictions by class into what curves are computed from.

    Args:
        detections: P predictions.
        true_labels: Classes of the truths that are to be found, see :func:`counted_labels`.
        matches: Of :func:`match_detections`.
        num_classes: Number of classes C.

    Returns:
        C outcomes, without the predictions that are left out.
    """
    num_truths = np.bincount(true_labels, minlength=num_classes)
    rows = np.flatnonzero(~matches.left_out)
    rows = rows[np.argsort(detections.labels[rows], kind='stable')]
    limits = np.searchsorted(detections.labels[rows], np.arange(1, num_classes))
    return [
        Outcome(detections.scores[mine], matches.truths[mine] >= 0, int(number))
        for mine, number in zip(np.split(rows, limits), num_truths, strict=True)
    ]


def pooled(outcomes: Sequence[Outcome]) -> Outcome:
    """Put the outcomes of all classes, at least one, into one."""
    return Outcome(
        np.concatenate([outcome.scores for outcome in outcomes]),
        np.concatenate([outcome.hits for outcome in outcomes]),
        sum(outcome.num_truths for outcome in outcomes),
    )


def coco_average_precision(
    detections: Detections,
    truths: Truths,
    overlaps: Overlaps,
    num_classes: int,
    areas: tuple[float, float] | None = None,
) -> np.ndarray:
    """Average precision as COCO defines it, but for its limit of 100 predictions per image.

    Args:
        detections: P predictions.
        truths: T truths.
        overlaps: Of :func:`find_overlaps`.
        num_classes: Number of classes C.
        areas: Least and largest area in square pixels that counts.

    Returns:
        Shape ``(C, 10)``, at :data:`IOU_THRESHOLDS`, NaN for classes without truths.
    """
    columns, true_labels = [], counted_labels(truths, areas)
    for threshold in IOU_THRESHOLDS:
        matches = match_detections(detections, truths, overlaps, threshold, areas=areas)
        outcomes = outcomes_by_class(detections, true_labels, matches, num_classes)
        columns.append(
            [average_precision(o.scores, o.hits, o.num_truths, RECALL_GRID) for o in outcomes]
        )
    return np.array(columns).reshape(len(IOU_THRESHOLDS), num_classes).T
