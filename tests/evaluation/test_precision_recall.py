"""Precision-recall figures against explicit loops and scikit-learn."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve

from mmdet_ext.evaluation.functional.precision_recall import (
    ELEVEN_POINTS,
    average_precision,
    balanced_threshold,
    count_curve,
    operating_point,
)


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter('error', RuntimeWarning)
        yield


scored = st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.7, 0.9]), st.booleans()), max_size=12)


def slow_curve(rows, num_truths):
    """(threshold, precision, recall, f1) at each distinct score, by counting."""
    curve = []
    for threshold in sorted({s for s, _ in rows}, reverse=True):
        kept = [hit for s, hit in rows if s >= threshold]
        tp, fp = sum(kept), len(kept) - sum(kept)
        f1 = 2 * tp / (2 * tp + fp + num_truths - tp)
        curve.append((threshold, tp / (tp + fp), tp / num_truths, f1))
    return curve


def slow_ap(rows, num_truths):
    """Sum over the hits' recall steps of the best precision at that recall or beyond."""
    curve, area, before = slow_curve(rows, num_truths), 0.0, 0.0
    for k, (_, _, recall, _) in enumerate(curve):
        area += (recall - before) * max(precision for _, precision, _, _ in curve[k:])
        before = recall
    return area


def columns(rows):
    scores, hits = zip(*rows, strict=True) if rows else ((), ())
    return np.array(scores, dtype=float), np.array(hits, dtype=bool)


@given(rows=scored, missed=st.integers(1, 5))
def test_average_precision_is_the_area_under_the_envelope(rows, missed):
    num_truths = sum(hit for _, hit in rows) + missed
    assert average_precision(*columns(rows), num_truths) == pytest.approx(slow_ap(rows, num_truths))


@given(rows=scored, missed=st.integers(1, 5))
def test_average_precision_on_a_grid_takes_the_best_precision_from_each_recall_on(rows, missed):
    num_truths = sum(hit for _, hit in rows) + missed
    curve, grid = slow_curve(rows, num_truths), np.linspace(0, 1, 101)
    expected = [max([p for _, p, r, _ in curve if r >= level], default=0) for level in grid]
    assert average_precision(*columns(rows), num_truths, grid) == pytest.approx(np.mean(expected))


@given(rows=scored, missed=st.integers(1, 5))
def test_the_operating_point_has_the_best_f1(rows, missed):
    num_truths = sum(hit for _, hit in rows) + missed
    point = operating_point(*columns(rows), num_truths)
    if not rows:
        assert point['f1'] == point['recall'] == 0
        return
    best = max(f1 for *_, f1 in slow_curve(rows, num_truths))
    at = next(row for row in slow_curve(rows, num_truths) if row[3] == pytest.approx(best))
    assert tuple(point[k] for k in ('threshold', 'precision', 'recall', 'f1')) == pytest.approx(at)


@given(rows=scored, missed=st.integers(0, 5), data=st.data())
def test_the_order_of_rows_never_matters_even_among_equal_scores(rows, missed, data):
    num_truths = sum(hit for _, hit in rows) + missed
    shuffled = data.draw(st.permutations(rows))
    np.testing.assert_array_equal(
        average_precision(*columns(rows), num_truths),
        average_precision(*columns(shuffled), num_truths),
    )
    np.testing.assert_array_equal(
        list(operating_point(*columns(rows), num_truths).values()),
        list(operating_point(*columns(shuffled), num_truths).values()),
    )


def test_a_hand_made_curve():
    scores, hits = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    # Recall steps 1/4 at precision 1 and 1/4 at precision 2/3; best F1 = 2*2/(3+4) at 0.7.
    assert average_precision(scores, hits, 4) == pytest.approx(0.25 + 0.25 * 2 / 3)
    point = operating_point(scores, hits, 4)
    assert point == pytest.approx(
        {'precision': 2 / 3, 'recall': 0.5, 'f1': 4 / 7, 'threshold': 0.7}
    )
    assert operating_point(scores, hits, 4, threshold=0.85)['precision'] == 1


def test_empty_cases_are_nan_only_where_nothing_can_be_said():
    none, no_hits = np.zeros(0), np.zeros(0, dtype=bool)
    both = operating_point(none, no_hits, 0)
    assert all(np.isnan(value) for value in both.values())
    no_predictions = operating_point(none, no_hits, 3)
    assert (no_predictions['recall'], no_predictions['f1']) == (0, 0)
    assert np.isnan(no_predictions['precision'])
    assert average_precision(none, no_hits, 3) == 0
    no_truths = operating_point(np.array([0.5]), np.array([False]), 0)
    assert (no_truths['precision'], no_truths['f1'], no_truths['threshold']) == (0, 0, 0.5)
    assert np.isnan(no_truths['recall'])
    assert np.isnan(average_precision(np.array([0.5]), np.array([False]), 0))


@given(rows=scored.filter(lambda rows: any(hit for _, hit in rows)))
def test_the_curve_is_that_of_scikit_learn_when_every_truth_is_found(rows):
    scores, hits = columns(rows)
    precision, recall, thresholds = precision_recall_curve(hits, scores)
    got_thresholds, predicted, hit = count_curve(scores, hits)
    np.testing.assert_array_equal(got_thresholds, thresholds[::-1])
    np.testing.assert_allclose(hit / predicted, precision[-2::-1])
    np.testing.assert_allclose(hit / hits.sum(), recall[-2::-1])


def test_eleven_points_count_a_recall_of_exactly_three_tenths_as_reached():
    scores = np.linspace(0.9, 0.7, 3)
    hits = np.ones(3, dtype=bool)
    # Precision 1 at the recalls 0, 0.1, 0.2 and 0.3; 0 beyond.
    assert average_precision(scores, hits, 10, ELEVEN_POINTS) == pytest.approx(4 / 11)


def test_one_missed_truth_caps_the_eleven_point_average_precision():
    scores, hits = np.linspace(0.9, 0.1, 99), np.ones(99, dtype=bool)
    assert average_precision(scores, hits, 100, ELEVEN_POINTS) == pytest.approx(10 / 11)
    assert average_precision(scores, hits, 99, ELEVEN_POINTS) == pytest.approx(1)


@given(rows=scored, missed=st.integers(0, 3))
def test_the_balanced_threshold_is_the_hit_with_the_best_f1_where_both_are_close(rows, missed):
    num_truths = sum(hit for _, hit in rows) + missed
    if not num_truths:
        return
    hit_scores = {s for s, hit in rows if hit}
    allowed = [
        (f1, threshold)
        for threshold, precision, recall, f1 in slow_curve(rows, num_truths)
        if threshold in hit_scores and abs(precision - recall) < 0.02
    ]
    got = balanced_threshold(*columns(rows), num_truths)
    if not allowed:
        assert np.isnan(got)
    else:
        best = max(f1 for f1, _ in allowed)
        assert got == max(t for f1, t in allowed if f1 == pytest.approx(best))
