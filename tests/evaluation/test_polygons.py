"""Overlap of quadrilaterals and its mean average precision against explicit loops."""

import warnings

import numpy as np
import pytest
from shapely import Polygon

from mmdet_ext.evaluation.functional.polygons import (
    IOU_THRESHOLDS,
    match_polygons,
    mean_average_precision,
    polygon_iou,
    polygons_of,
)


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter('error', RuntimeWarning)
        yield


def overlaps(corners, others):
    return polygon_iou(polygons_of(corners)[:, None], polygons_of(others))


def square(x, y, size=10.0):
    return np.array([[x, y + size], [x + size, y + size], [x + size, y], [x, y]])


def test_overlap_of_squares_is_that_of_rectangle_arithmetic():
    corners = np.stack([square(0, 0), square(5, 0), square(10, 0), square(2, 2, 5)])
    third, part = 50 / 150, 10 / 115
    expected = [[1, third, 0, 0.25], [third, 1, third, part], [0, third, 1, 0], [0.25, part, 0, 1]]
    np.testing.assert_allclose(overlaps(corners, corners), expected)


def test_overlap_of_rotated_quadrilaterals_is_that_of_shapely_pair_by_pair():
    rng = np.random.default_rng(0)
    angles = np.sort(rng.uniform(0, 2 * np.pi, (12, 4)), axis=1)
    corners = rng.uniform(0, 30, (12, 1, 2)) + 15 * np.stack([np.cos(angles), np.sin(angles)], -1)
    slow = [
        [a.intersection(b).area / a.union(b).area for b in map(Polygon, corners)]
        for a in map(Polygon, corners)
    ]
    np.testing.assert_allclose(overlaps(corners, corners), slow, atol=1e-12)


def test_overlap_allows_crossed_edges_points_and_values_that_are_not_finite():
    bow_tie = square(0, 0)[[0, 1, 3, 2]]  # two triangles of 25 each
    broken = square(0, 0)
    broken[0] = np.nan
    odd = np.stack([bow_tie, broken, np.zeros((4, 2)), np.full((4, 2), 5.0)])
    np.testing.assert_allclose(overlaps(odd, square(0, 0)[None]), [[0.5], [0], [0], [0]])
    assert overlaps(np.zeros((0, 4, 2)), odd).shape == (0, 4)
    assert overlaps(odd, np.zeros((0, 4, 2))).shape == (4, 0)


def slow_curve(rows, num_truths):
    """(precision, recall) at each distinct score, by counting."""
    curve = []
    for threshold in sorted({s for s, _ in rows}, reverse=True):
        kept = [hit for s, hit in rows if s >= threshold]
        curve.append((sum(kept) / len(kept), sum(kept) / num_truths))
    return curve


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
                        max([p for p, r in curve if r >= level], default=0)
                        for level in np.linspace(0, 1, 101)
                    ]
                )
            )
    return np.mean(values)


def test_polygon_map_is_that_of_coco_written_out_for_squares():
    rng = np.random.default_rng(1)
    images, predicted, true = [], [], []
    for i in range(8):
        truths = [(20 * k, int(rng.integers(2))) for k in range(rng.integers(0, 4))]
        predictions = [(float(rng.uniform()), float(rng.uniform(0, 60)), 2) for _ in range(2)]
        predictions += [
            (float(rng.uniform()), x + rng.normal() * 2, label) for x, label in truths for _ in 'ab'
        ]
        images.append({'truths': truths, 'predictions': predictions})
        predicted += [(square(x, 0), label, i, s) for s, x, label in predictions]
        true += [(square(x, 0), label, i) for x, label in truths]
    corners, labels, owners, scores = map(np.array, zip(*predicted, strict=True))
    value = mean_average_precision(
        match_polygons(corners, labels, owners, *map(np.array, zip(*true, strict=True)), scores)
    )
    assert 0.2 < value < 0.9
    assert value == pytest.approx(slow_map(images))


def test_polygon_map_without_truths_is_nan_and_without_predictions_zero():
    none = (np.zeros((0, 4, 2)), np.zeros(0), np.zeros(0, dtype=int))
    one = (square(0, 0)[None], np.zeros(1), np.zeros(1, dtype=int))
    assert np.isnan(mean_average_precision(match_polygons(*one, *none, np.ones(1))))
    assert mean_average_precision(match_polygons(*none, *one, np.zeros(0))) == 0


def test_polygons_of_different_images_or_classes_never_match():
    one = (square(0, 0)[None], np.zeros(1), np.zeros(1, dtype=int))
    for other in ((one[0], one[1] + 1, one[2]), (one[0], one[1], one[2] + 1)):
        assert mean_average_precision(match_polygons(*one, *other, np.ones(1))) == 0
    assert mean_average_precision(match_polygons(*one, *one, np.ones(1))) == 1
