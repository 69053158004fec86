"""TIDE error types on scenes where the type can be told by looking."""

import numpy as np
import pytest
from detection_scenes import detections_of, random_scene, shuffled, truths_of

from mmdet_ext.evaluation.functional.detection_matching import match_detections
from mmdet_ext.evaluation.functional.detections import find_overlaps
from mmdet_ext.evaluation.functional.error_types import (
    ERROR_TYPES,
    average_precision_gains,
    find_errors,
)

TRUTHS = truths_of((0, 0, 0, 0, 10, 10), (0, 1, 100, 0, 110, 10))


def evaluated(detections, truths):
    overlaps = find_overlaps(detections, truths)
    matches = match_detections(detections, truths, overlaps)
    errors = find_errors(detections, truths, overlaps, matches)
    return errors, average_precision_gains(detections, truths, matches, errors, 2)


@pytest.mark.parametrize(
    ('prediction', 'kind'),
    [
        ((0, 0, 0.5, 0, 0, 10, 4), 'localisation'),
        ((0, 1, 0.5, 0, 0, 10, 9), 'classification'),
        ((0, 1, 0.5, 0, 0, 10, 4), 'both'),
        ((0, 0, 0.5, 0, 0, 10, 9), 'duplicate'),
        ((0, 0, 0.5, 300, 0, 310, 10), 'background'),
        ((0, 0, 0.5, 0, 0, 10, 1), 'background'),  # overlaps by 0.1, no more
        ((1, 0, 0.5, 0, 0, 10, 10), 'background'),  # another image
        ((0, 0, 0.5, np.nan, 0, 10, 10), 'background'),
    ],
)
def test_each_wrong_prediction_has_one_type(prediction, kind):
    right = (0, 0, 0.9, 0, 0, 10, 10)
    errors, _ = evaluated(detections_of(right, prediction), TRUTHS)
    assert errors.types[0] == -1
    assert ERROR_TYPES[errors.types[1]] == kind
    counts = dict.fromkeys(ERROR_TYPES, 0) | {kind: 1, 'missed': 1}
    assert errors.counts() == counts


def test_a_truth_with_a_mendable_error_is_not_missed():
    errors, _ = evaluated(detections_of((0, 0, 0.5, 0, 0, 10, 4)), TRUTHS)
    assert errors.missed.tolist() == [False, True]
    assert errors.truths.tolist() == [0]


def test_crowds_are_neither_missed_nor_the_reason_of_an_error():
    truths = truths_of((0, 0, 0, 0, 10, 10), crowd=[0])
    errors, gains = evaluated(detections_of((0, 1, 0.5, 0, 0, 10, 10)), truths)
    assert errors.counts() == dict.fromkeys(ERROR_TYPES, 0) | {'background': 1}
    assert np.isnan(gains['background'])


def test_mending_adds_what_the_errors_had_cost():
    # Class 0: a localisation error above nothing. Class 1: a false alarm above the hit, AP 1/2.
    detections = detections_of(
        (0, 0, 0.9, 0, 0, 10, 4), (0, 1, 0.9, 300, 0, 310, 10), (0, 1, 0.8, 100, 0, 110, 10)
    )
    _, gains = evaluated(detections, TRUTHS)
    assert gains == pytest.approx(
        {
            'classification': 0,
            'localisation': 1 / 2,  # class 0: from 0 to 1
            'both': 0,
            'duplicate': 0,
            'background': 1 / 4,  # class 1: from 1/2 to 1
            'missed': 0,
            'false_positives': 1 / 4,
            'false_negatives': 1 / 4,  # class 0 has no truths left: class 1's 1/2 is the mean
        }
    )


def test_a_wrong_class_is_mended_into_a_hit_of_the_right_one():
    detections = detections_of((0, 1, 0.9, 0, 0, 10, 10), (0, 1, 0.8, 100, 0, 110, 10))
    _, gains = evaluated(detections, TRUTHS)
    # Before: class 0 has nothing (0), class 1 a false alarm above the hit (1/2). After: 1 and 1.
    assert gains['classification'] == pytest.approx(3 / 4)


def test_only_the_best_scored_error_about_a_truth_becomes_a_hit():
    truths = truths_of((0, 0, 0, 0, 10, 10), (1, 0, 0, 0, 10, 10))
    detections = detections_of((0, 0, 0.9, 0, 0, 10, 4), (0, 0, 0.8, 0, 0, 10, 3))
    _, gains = evaluated(detections, truths)
    assert gains['localisation'] == pytest.approx(51 / 101)  # half of the truths, at precision 1


@pytest.mark.parametrize('seed', range(5))
def test_the_order_of_rows_never_matters(seed):
    detections, truths = random_scene(seed, classes=2)
    errors, gains = evaluated(detections, truths)
    other, others, rows, _ = shuffled(seed, detections, truths)
    again, same_gains = evaluated(other, others)
    np.testing.assert_array_equal(again.types, errors.types[rows])
    assert same_gains == pytest.approx(gains)
    wrong = errors.types >= 0
    assert 0 < wrong.sum() < len(wrong)


def test_without_predictions_all_truths_are_missed():
    errors, gains = evaluated(detections_of(), TRUTHS)
    assert errors.counts()['missed'] == 2
    assert gains['background'] == 0
