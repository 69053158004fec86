"""Matching, precision-recall figures and polygon overlap against explicit loops."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import Polygon

from mmdet_ext.evaluation.functional.matching import match_greedy
from mmdet_ext.evaluation.functional.polygons import (
    IOU_THRESHOLDS,
    match_polygons,
    mean_average_precision,
    polygon_iou,
)
from mmdet_ext.evaluation.functional.precision_recall import average_precision, operating_point


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        yield


def test_the_best_score_chooses_first_and_takes_the_nearest():
    costs = np.array([[1.0, 2.0], [0.5, 9.0]])
    assert match_greedy(np.array([0.9, 0.8]), costs, 10).tolist() == [0, 1]
    assert match_greedy(np.array([0.8, 0.9]), costs, 10).tolist() == [1, 0]


def test_one_truth_is_taken_once_and_only_within_the_limit():
    costs = np.array([[1.0], [0.5]])
    assert match_greedy(np.array([0.9, 0.8]), costs, 10).tolist() == [0, -1]
    assert match_greedy(np.array([0.9, 0.8]), costs, 0.7).tolist() == [-1, 0]
    assert match_greedy(np.array([0.9, 0.8]), costs, 0.1).tolist() == [-1, -1]


def test_forbidden_pairs_and_nan_costs_never_match():
    costs = np.array([[np.inf, np.nan]])
    assert match_greedy(np.array([1.0]), costs, np.inf).tolist() == [-1]


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


def square(x, y, size=10.0):
    return np.array([[x, y + size], [x + size, y + size], [x + size, y], [x, y]])


def test_overlap_of_squares_is_that_of_rectangle_arithmetic():
    corners = np.stack([square(0, 0), square(5, 0), square(10, 0), square(2, 2, 5)])
    third, part = 50 / 150, 10 / 115
    expected = [[1, third, 0, 0.25], [third, 1, third, part], [0, third, 1, 0], [0.25, part, 0, 1]]
    np.testing.assert_allclose(polygon_iou(corners, corners), expected)


def test_overlap_of_rotated_quadrilaterals_is_that_of_shapely_pair_by_pair():
    rng = np.random.default_rng(0)
    angles = np.sort(rng.uniform(0, 2 * np.pi, (12, 4)), axis=1)
    corners = rng.uniform(0, 30, (12, 1, 2)) + 15 * np.stack([np.cos(angles), np.sin(angles)], -1)
    slow = [
        [a.intersection(b).area / a.union(b).area for b in map(Polygon, corners)]
        for a in map(Polygon, corners)
    ]
    np.testing.assert_allclose(polygon_iou(corners, corners), slow, atol=1e-12)


def test_overlap_allows_crossed_edges_points_and_values_that_are_not_finite():
    bow_tie = square(0, 0)[[0, 1, 3, 2]]  # two triangles of 25 each
    broken = square(0, 0)
    broken[0] = np.nan
    odd = np.stack([bow_tie, broken, np.zeros((4, 2)), np.full((4, 2), 5.0)])
    np.testing.assert_allclose(polygon_iou(odd, square(0, 0)[None]), [[0.5], [0], [0], [0]])
    assert polygon_iou(np.zeros((0, 4, 2)), odd).shape == (0, 4)
    assert polygon_iou(odd, np.zeros((0, 4, 2))).shape == (4, 0)


def slow_map(images):
    """COCO's mean average precision, written out for axis-parallel squares of side 10."""
    values = []
    for label in {label for image in images for _, label in image['truths']}:
        for limit in IOU_THRESHOLDS:
            rows, num_truths = [], 0
            for image in images:
                free = [x for x, true_label in image['truths'] if true_label == label]
                num_truths += len(free)
                mine = [(s, x) for s, x, pred_label in image['predictions'] if pred_label == label]
                for score, x in sorted(mine, reverse=True):
                    overlaps = [max(0, 10 - abs(x - t)) for t in free]
                    ious = [o / (20 - o) for o in overlaps]
                    hit = bool(ious) and max(ious) >= limit
                    if hit:
                        free.pop(int(np.argmax(ious)))
                    rows.append((score, hit))
            curve = slow_curve(rows, num_truths)
            values.append(
                np.mean(
                    [
                        max([p for _, p, r, _ in curve if r >= level], default=0)
                        for level in np.linspace(0, 1, 101)
                    ]
                )
            )
    return np.mean(values)


def test_polygon_map_is_that_of_coco_written_out_for_squares():
    rng = np.random.default_rng(1)
    images, outcomes = [], []
    for _ in range(8):
        truths = [(20 * k, int(rng.integers(2))) for k in range(rng.integers(0, 4))]
        predictions = [(float(rng.uniform()), float(rng.uniform(0, 60)), 2) for _ in range(2)]
        predictions += [
            (float(rng.uniform()), x + rng.normal() * 2, label) for x, label in truths for _ in 'ab'
        ]
        images.append({'truths': truths, 'predictions': predictions})
        scores, positions, labels = map(np.array, zip(*predictions, strict=True))
        outcomes.append(
            match_polygons(
                np.stack([square(x, 0) for x in positions]),
                labels,
                scores,
                np.array([square(x, 0) for x, _ in truths]).reshape(-1, 4, 2),
                np.array([label for _, label in truths], dtype=int),
            )
        )
    value = mean_average_precision(outcomes)
    assert 0.2 < value < 0.9
    assert value == pytest.approx(slow_map(images))


def test_polygon_map_without_truths_is_nan_and_without_predictions_zero():
    none, nobody = np.zeros((0, 4, 2)), np.zeros(0)
    one, label = square(0, 0)[None], np.zeros(1, dtype=int)
    assert np.isnan(mean_average_precision([match_polygons(one, label, np.ones(1), none, nobody)]))
    assert mean_average_precision([match_polygons(none, nobody, nobody, one, label)]) == 0
