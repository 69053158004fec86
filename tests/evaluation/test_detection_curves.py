"""Curves over the score threshold: against counting, and against scikit-learn."""

import numpy as np
import pytest
from detection_scenes import detections_of, truths_of

from mmdet_ext.evaluation.functional.calibration import expected_calibration_error, reliability
from mmdet_ext.evaluation.functional.outcomes import Outcome
from mmdet_ext.evaluation.functional.threshold_curves import (
    area_under_roc,
    image_scores,
    roc_curve,
    threshold_curves,
)


def random_labels(seed, count=200):
    rng = np.random.default_rng(seed)
    positive = rng.random(count) < 0.4
    return (rng.random(count) * 0.7 + 0.3 * positive).round(2), positive  # with ties


def test_precision_recall_and_f1_are_counted_at_each_threshold():
    outcome = Outcome(np.array([0.9, 0.5, 0.9, 0.2]), np.array([True, True, False, False]), 4)
    curves = threshold_curves(outcome)
    assert curves['threshold'].tolist() == [0.9, 0.5, 0.2]
    assert curves['precision'] == pytest.approx([1 / 2, 2 / 3, 2 / 4])
    assert curves['recall'] == pytest.approx([1 / 4, 2 / 4, 2 / 4])
    assert curves['f1'] == pytest.approx([2 / 6, 4 / 7, 4 / 8])


def test_without_truths_the_recall_is_unknown_and_without_predictions_curves_are_empty():
    assert np.isnan(
        threshold_curves(Outcome(np.array([0.5]), np.array([False]), 0))['recall']
    ).all()
    curves = threshold_curves(Outcome(np.zeros(0), np.zeros(0, bool), 3))
    assert [len(values) for values in curves.values()] == [0, 0, 0, 0]


@pytest.mark.parametrize('seed', range(5))
def test_the_roc_curve_is_that_of_scikit_learn(seed):
    metrics = pytest.importorskip('sklearn.metrics')
    scores, positive = random_labels(seed)
    curve = roc_curve(scores, positive)
    false, true, _ = metrics.roc_curve(positive, scores, drop_intermediate=False)
    assert curve['false_positive_rate'] == pytest.approx(false)
    assert curve['true_positive_rate'] == pytest.approx(true)
    assert area_under_roc(scores, positive) == pytest.approx(
        metrics.roc_auc_score(positive, scores)
    )


@pytest.mark.parametrize('seed', range(5))
def test_the_area_is_the_chance_that_a_positive_scores_higher(seed):
    scores, positive = random_labels(seed)
    gaps = scores[positive][:, None] - scores[~positive]
    chance = (gaps > 0).mean() + (gaps == 0).mean() / 2
    assert area_under_roc(scores, positive) == pytest.approx(chance)


@pytest.mark.parametrize('positive', [[True, True], [False, False], []])
def test_the_area_is_unknown_without_both_positives_and_negatives(positive):
    assert np.isnan(area_under_roc(np.full(len(positive), 0.5), np.array(positive, bool)))


def test_an_image_scores_as_its_best_prediction_and_minus_infinity_without_one():
    detections = detections_of((0, 0, 0.3, 0, 0, 1, 1), (0, 1, 0.7, 0, 0, 1, 1))
    truths = truths_of((1, 0, 0, 0, 1, 1), (2, 0, 0, 0, 1, 1), crowd=[1])
    scores, positive = image_scores(detections, truths, 4)
    assert scores.tolist() == [0.7, -np.inf, -np.inf]  # the image of a mere crowd is left out
    assert positive.tolist() == [False, True, False]
    scores, positive = image_scores(detections, truths, 4, label=0)
    assert scores.tolist() == [0.3, -np.inf, -np.inf]


def test_images_without_predictions_rank_last():
    assert area_under_roc(np.array([0.1, -np.inf, 0.9]), np.array([True, False, True])) == 1


def test_reliability_of_a_hand_made_case():
    scores, hits = (
        np.array([0.1, 0.05, 0.55, 0.6, 1.0]),
        np.array([False, False, True, False, True]),
    )
    diagram = reliability(scores, hits)
    assert diagram['count'].tolist() == [2, 0, 0, 0, 0, 2, 0, 0, 0, 1]  # 0.1 and 0.6: upper ends
    assert diagram['precision'][[0, 5, 9]] == pytest.approx([0, 0.5, 1])
    assert diagram['confidence'][[0, 5, 9]] == pytest.approx([0.075, 0.575, 1])
    assert np.isnan(diagram['precision'][1])
    expected = (2 * 0.075 + 2 * 0.075 + 0) / 5
    assert expected_calibration_error(scores, hits) == pytest.approx(expected)


def test_scores_that_are_chances_are_calibrated_and_overconfident_ones_are_not():
    rng = np.random.default_rng(0)
    chance = rng.random(100_000)
    hits = rng.random(100_000) < chance
    assert expected_calibration_error(chance, hits) < 0.01
    assert expected_calibration_error(np.sqrt(chance), hits) == pytest.approx(1 / 6, abs=0.01)
    assert np.isnan(expected_calibration_error(np.zeros(0), np.zeros(0, bool)))


def test_scores_that_are_no_probabilities_cannot_be_calibrated():
    with pytest.raises(ValueError, match=r'range from -1 to 3; calibration needs probabilities'):
        reliability(np.array([-1.0, 3.0]), np.array([True, False]))
