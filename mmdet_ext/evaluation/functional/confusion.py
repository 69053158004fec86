"""Which class is taken for which."""

import numpy as np

from mmdet_ext.evaluation.functional.detection_matching import match_detections
from mmdet_ext.evaluation.functional.detections import Detections, Overlaps, Truths


def confusion_matrix(
    detections: Detections,
    truths: Truths,
    overlaps: Overlaps,
    num_classes: int,
    score_threshold: float,
    iou_threshold: float = 0.5,
) -> np.ndarray:
    """Count truths by the class that they are predicted as.

    Predictions and truths are matched one to one, best score first and whatever their classes, so
    that each is counted exactly once: with its partner or with the background. A second prediction
    on a truth that is taken is a false alarm, of the right class or not.

    Args:
        detections: P predictions.
        truths: T truths; those that are crowds are ignored and so is what falls to them.
        overlaps: Of ``find_overlaps``.
        num_classes: Number of classes C.
        score_threshold: Lowest score that counts.
        iou_threshold: Least overlap of a match.

    Returns:
        Shape ``(C + 1, C + 1)``, rows truths, columns predictions. The last row holds false alarms,
        the last column missed truths; their common cell is 0, for nobody counts the background.
    """
    matches = match_detections(detections, truths, overlaps, iou_threshold, class_agnostic=True)
    counted = (detections.scores >= score_threshold) & ~matches.left_out
    partners, labels = matches.truths[counted], detections.labels[counted]
    found = partners >= 0
    missed = ~truths.crowd
    missed[partners[found]] = False
    matrix = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    np.add.at(matrix, (truths.labels[partners[found]], labels[found]), 1)
    np.add.at(matrix[-1], labels[~found], 1)
    np.add.at(matrix[:, -1], truths.labels[missed], 1)
    return matrix


def detection_accuracy(matrix: np.ndarray) -> float:
    """Share of all cells of a confusion matrix on its diagonal, NaN for an empty one.

    In detection there are no true negatives, so this is TP / (TP + FP + FN + confused), not the
    accuracy of a classifier.
    """
    return float(np.trace(matrix) / matrix.sum()) if matrix.any() else float('nan')


def classification_accuracy(matrix: np.ndarray) -> float:
    """Share of the found truths whose class is right, whatever else was predicted; NaN if none."""
    found = matrix[:-1, :-1]
    return float(np.trace(found) / found.sum()) if found.any() else float('nan')
