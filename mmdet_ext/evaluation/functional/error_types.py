"""Why average precision is lost.

Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors, 2020.
"""

from dataclasses import dataclass, replace

import numpy as np

from mmdet_ext.evaluation.functional.detection_matching import (
    Matches,
    outcomes_by_class,
)
from mmdet_ext.evaluation.functional.detections import Detections, Overlaps, Truths
from mmdet_ext.evaluation.functional.precision_recall import RECALL_GRID, average_precision

ERROR_TYPES = ('classification', 'localisation', 'both', 'duplicate', 'background', 'missed')
_CLASSIFICATION, _LOCALISATION, _BOTH, _DUPLICATE, _BACKGROUND, _ = range(len(ERROR_TYPES))


@dataclass
class Errors:
    """What is wrong with each prediction and truth.

    Attributes:
        types: Index in :data:`ERROR_TYPES` of each prediction, ``(P,)``, -1 for right and ignored ones.
        truths: Row of the truth that a classification or localisation error is about, ``(P,)``, else -1.
        missed: Whether a truth is neither found nor that of such an error, ``(T,)``.
    """

    types: np.ndarray
    truths: np.ndarray
    missed: np.ndarray

    def counts(self) -> dict[str, int]:
        """Number of errors of each type."""
        predictions = np.bincount(self.types[self.types >= 0], minlength=len(ERROR_TYPES) - 1)
        return dict(zip(ERROR_TYPES, [*predictions.tolist(), int(self.missed.sum())], strict=True))


def find_errors(
    detections: Detections,
    truths: Truths,
    overlaps: Overlaps,
    matches: Matches,
    foreground: float = 0.5,
    background: float = 0.1,
) -> Errors:
    """Give each wrong prediction one type, the first of these that fits.

    localisation: overlaps a truth of its class, but less than ``foreground``; classification:
    overlaps one of another class that much; duplicate: one of its class that is taken; background:
    none even by ``background``; both: all the rest.

    Args:
        detections: P predictions.
        truths: T truths.
        overlaps: Of ``find_overlaps``, down to ``background``.
        matches: Of ``match_detections`` at ``foreground``.
        foreground: Overlap of a right prediction.
        background: Overlap below which a prediction has nothing to do with a truth.

    Returns:
        The errors.
    """
    overlaps = overlaps.select(~truths.crowd[overlaps.truths] & (overlaps.iou > background))
    count = len(detections.scores)
    overlaps = overlaps.select(np.argsort(-overlaps.iou, kind='stable'))
    own, own_iou = _first(overlaps.select(overlaps.same_class), count)
    other, other_iou = _first(overlaps.select(~overlaps.same_class), count)
    wrong = (matches.truths < 0) & ~matches.left_out
    tests = [
        (own_iou > 0) & (own_iou < foreground),
        other_iou >= foreground,
        own_iou >= foreground,
        (own_iou == 0) & (other_iou == 0),
    ]
    types = np.select(tests, [_LOCALISATION, _CLASSIFICATION, _DUPLICATE, _BACKGROUND], _BOTH)
    types = np.where(wrong, types, -1)
    concerned = np.select([types == _LOCALISATION, types == _CLASSIFICATION], [own, other], -1)
    missed = ~truths.crowd
    missed[matches.truths[matches.truths >= 0]] = False
    missed[concerned[concerned >= 0]] = False
    return Errors(types, concerned, missed)


def _first(overlaps: Overlaps, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth and IoU in the first overlap of each prediction, -1 and 0 for none."""
    truths, iou = np.full(count, -1), np.zeros(count)
    rows, first = np.unique(overlaps.detections, return_index=True)
    truths[rows], iou[rows] = overlaps.truths[first], overlaps.iou[first]
    return truths, iou


def average_precision_gains(
    detections: Detections, truths: Truths, matches: Matches, errors: Errors, num_classes: int
) -> dict[str, float]:
    """How much the mean AP over classes rises if all errors of one type are mended.

    Of the classification and localisation errors about a truth that is not found, mending turns the
    best-scored one into a hit; all other wrong predictions of the type are deleted. Missed truths
    are taken off the number of truths. Gains do not add up.

    Args:
        detections: P predictions.
        truths: T truths.
        matches: Of ``match_detections``.
        errors: Of :func:`find_errors`.
        num_classes: Number of classes.

    Returns:
        Gain in [0, 1] per type, besides ``false_positives`` (all wrong predictions deleted) and
        ``false_negatives`` (all truths that are not found taken off); NaN without truths.
    """
    counted = ~truths.crowd
    found = np.zeros(len(truths.labels), bool)
    found[matches.truths[matches.truths >= 0]] = True
    all_found = Matches(matches.truths, matches.left_out | (matches.truths < 0))
    mended = {
        name: (*_mend(detections, truths, matches, errors, kind), counted)
        for kind, name in enumerate(ERROR_TYPES[:-1])
    }
    mended['missed'] = (detections, matches, counted & ~errors.missed)
    mended['false_positives'] = (detections, all_found, counted)
    mended['false_negatives'] = (detections, matches, found)
    before = _mean_ap(detections, matches, truths.labels[counted], num_classes)
    return {
        name: _mean_ap(now, matched, truths.labels[rows], num_classes) - before
        for name, (now, matched, rows) in mended.items()
    }


def _mend(
    detections: Detections, truths: Truths, matches: Matches, errors: Errors, kind: int
) -> tuple[Detections, Matches]:
    matched, labels = matches.truths.copy(), detections.labels.copy()
    free = np.ones(len(truths.labels), bool)
    free[matched[matched >= 0]] = False
    rows = np.flatnonzero(errors.truths >= 0)
    rows = rows[free[errors.truths[rows]]]
    rows = rows[np.lexsort((*detections.boxes[rows].T, -detections.scores[rows]))]
    best = rows[np.unique(errors.truths[rows], return_index=True)[1]]
    mine = errors.types == kind
    best = best[mine[best]]
    matched[best] = errors.truths[best]
    labels[best] = truths.labels[errors.truths[best]]
    return replace(detections, labels=labels), Matches(
        matched, matches.left_out | (mine & (matched < 0))
    )


def _mean_ap(
    detections: Detections, matches: Matches, true_labels: np.ndarray, num_classes: int
) -> float:
    outcomes = outcomes_by_class(detections, true_labels, matches, num_classes)
    values = [average_precision(o.scores, o.hits, o.num_truths, RECALL_GRID) for o in outcomes]
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float('nan')
