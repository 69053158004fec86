"""Matching of predictions with truths: who takes which."""

import numpy as np

from mmdet_ext.evaluation.functional import pairs as pairs_module
from mmdet_ext.evaluation.functional.matching import (
    match_first_choice,
    match_greedy,
    match_shared,
)
from mmdet_ext.evaluation.functional.pairs import Pairs, pairs_within


def near(costs, limit=10.0):
    costs = np.array(costs, dtype=float)
    rows, columns = np.nonzero(costs <= limit)
    return Pairs(rows, columns, costs[rows, columns])


def greedy(scores, costs, limit=10.0):
    return match_greedy(np.array(scores), near(costs, limit)).tolist()


def shared(scores, costs, limit=10.0):
    rows, columns = match_shared(np.array(scores), near(costs, limit))
    return sorted(zip(rows.tolist(), columns.tolist(), strict=True))


def test_the_best_score_chooses_first_and_takes_the_nearest():
    costs = [[1.0, 2.0], [0.5, 9.0]]
    assert greedy([0.9, 0.8], costs) == [0, 1]
    assert greedy([0.8, 0.9], costs) == [1, 0]


def test_one_truth_is_taken_once_and_only_within_the_limit():
    costs = [[1.0], [0.5]]
    assert greedy([0.9, 0.8], costs) == [0, -1]
    assert greedy([0.9, 0.8], costs, 0.7) == [-1, 0]
    assert greedy([0.9, 0.8], costs, 0.1) == [-1, -1]


def test_of_equal_scores_the_nearest_is_served_first():
    assert greedy([0.9, 0.9], [[3.0], [2.0]]) == [-1, 0]


def test_shared_each_truth_takes_the_best_score_near_it_even_if_another_has_it():
    costs = [[1.0, 2.0, 99.0], [0.5, 0.5, 99.0]]
    assert shared([0.9, 0.8], costs) == [(0, 0), (0, 1), (1, -1)]
    assert shared([0.8, 0.9], costs) == [(0, -1), (1, 0), (1, 1)]


def test_shared_of_equal_scores_the_first_is_taken_and_a_score_of_0_never():
    assert shared([0.5, 0.5], [[9.0], [1.0]]) == [(0, 0), (1, -1)]
    assert shared([0.0], [[1.0]]) == [(0, -1)]


def test_first_choice_does_not_fall_back_on_another_truth():
    costs = -np.array([[0.95, 0.9], [0.99, 0.9], [0.1, 0.85]])
    matched = match_first_choice(np.array([0.9, 0.8, 0.7]), near(costs), -0.8)
    assert matched.tolist() == [0, -1, 1]  # the second would have been right about truth 1


def test_first_choice_matches_only_beyond_the_limit():
    for overlap, truth in ((0.8, -1), (0.80001, 0)):
        assert match_first_choice(np.ones(1), near([[-overlap]]), -0.8).tolist() == [truth]


def test_nothing_matches_nothing():
    none = near(np.zeros((0, 0)))
    assert match_greedy(np.zeros(0), none).tolist() == []
    assert match_greedy(np.ones(2), none).tolist() == [-1, -1]
    assert match_first_choice(np.ones(2), none, -0.8).tolist() == [-1, -1]
    assert [part.tolist() for part in match_shared(np.ones(2), none)] == [[0, 1], [-1, -1]]


def test_pairs_are_those_of_the_same_image_within_the_limit_however_many_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    images, true_images = np.sort(rng.integers(0, 6, 40)), np.sort(rng.integers(1, 8, 30))
    costs = rng.uniform(size=(40, 30))
    costs[rng.uniform(size=costs.shape) < 0.1] = np.nan
    expected = {
        (i, j)
        for i in range(40)
        for j in range(30)
        if images[i] == true_images[j] and costs[i, j] <= 0.6
    }
    for at_once in (7, 10**6):
        monkeypatch.setattr(pairs_module, '_AT_ONCE', at_once)
        found = pairs_within(images, true_images, lambda i, j: costs[i, j], 0.6)
        assert set(zip(found.rows.tolist(), found.columns.tolist(), strict=True)) == expected
        np.testing.assert_array_equal(found.costs, costs[found.rows, found.columns])
