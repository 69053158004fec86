"""The confusion matrix counts each truth and each prediction exactly once."""

import numpy as np
import pytest
from detection_scenes import detections_of, random_scene, shuffled, truths_of

from mmdet_ext.evaluation.functional.confusion import (
    classification_accuracy,
    confusion_matrix,
    detection_accuracy,
)
from mmdet_ext.evaluation.functional.detections import find_overlaps


def matrix_of(detections, truths, threshold=0.0, classes=2):
    return confusion_matrix(
        detections, truths, find_overlaps(detections, truths), classes, threshold
    )


def test_hits_confusions_misses_and_false_alarms_have_their_cells():
    truths = truths_of((0, 0, 0, 0, 10, 10), (0, 1, 50, 0, 60, 10), (1, 1, 0, 0, 10, 10))
    detections = detections_of(
        (0, 0, 0.9, 0, 0, 10, 10),  # right
        (0, 0, 0.8, 50, 0, 60, 10),  # 1 taken for 0
        (0, 1, 0.7, 200, 0, 210, 10),  # false alarm
        (1, 1, 0.1, 0, 0, 10, 10),  # below the threshold
    )
    assert matrix_of(detections, truths, 0.5).tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]


def test_a_second_prediction_on_a_truth_is_a_false_alarm_of_the_background():
    truths = truths_of((0, 0, 0, 0, 10, 10))
    detections = detections_of((0, 1, 0.9, 0, 0, 10, 10), (0, 0, 0.8, 0, 0, 10, 10))
    # The better-scored wrong class takes the truth; the right one comes too late.
    assert matrix_of(detections, truths).tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_crowds_and_what_falls_to_them_are_not_counted():
    truths = truths_of((0, 0, 0, 0, 10, 10), crowd=[0])
    assert not matrix_of(detections_of((0, 1, 0.9, 0, 0, 10, 10)), truths).any()


@pytest.mark.parametrize('seed', range(5))
def test_rows_add_up_to_truths_and_columns_to_predictions(seed):
    detections, truths = random_scene(seed, crowds=0)
    matrix = matrix_of(detections, truths, 0.4, classes=3)
    np.testing.assert_array_equal(matrix[:-1].sum(1), np.bincount(truths.labels, minlength=3))
    kept = detections.labels[detections.scores >= 0.4]
    np.testing.assert_array_equal(matrix[:, :-1].sum(0), np.bincount(kept, minlength=3))
    other, others, *_ = shuffled(seed, detections, truths)
    np.testing.assert_array_equal(matrix_of(other, others, 0.4, classes=3), matrix)


def test_accuracies_count_all_cells_or_only_found_truths():
    matrix = np.array([[6, 1, 2], [1, 2, 0], [3, 5, 0]])
    assert detection_accuracy(matrix) == pytest.approx(8 / 20)
    assert classification_accuracy(matrix) == pytest.approx(8 / 10)
    assert np.isnan(detection_accuracy(np.zeros((3, 3), int)))
    assert np.isnan(classification_accuracy(np.array([[0, 4], [2, 0]])))


def test_one_class_without_predictions_is_all_missed():
    matrix = matrix_of(detections_of(), truths_of((0, 0, 0, 0, 1, 1)), classes=1)
    assert matrix.tolist() == [[0, 1], [0, 0]]
