"""Matching of detections: as in COCO, one to one, the same in any order."""

import contextlib
import io

import numpy as np
import pytest
from detection_scenes import detections_of, random_scene, shuffled, truths_of
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmdet_ext.evaluation.functional.detection_matching import (
    SIZES,
    coco_average_precision,
    counted_labels,
    match_detections,
    outcomes_by_class,
    pooled,
)
from mmdet_ext.evaluation.functional.detections import find_overlaps
from mmdet_ext.evaluation.functional.localisation import localisation_errors, matched_iou


def by_pycocotools(detections, truths, num_classes, area):
    """AP by class and IoU threshold, -1 where there are no truths."""
    images = [{'id': i} for i in range(int(max(detections.images.max(), truths.images.max())) + 1)]
    coco = COCO()
    xywh = np.hstack([truths.boxes[:, :2], truths.boxes[:, 2:] - truths.boxes[:, :2]])
    coco.dataset = {
        'images': images,
        'categories': [{'id': k, 'name': str(k)} for k in range(num_classes)],
        'annotations': [
            dict(
                id=i + 1,
                image_id=int(truths.images[i]),
                category_id=int(truths.labels[i]),
                bbox=xywh[i].tolist(),
                area=float(truths.areas[i]),
                iscrowd=int(truths.crowd[i]),
            )
            for i in range(len(xywh))
        ],
    }
    xywh = np.hstack([detections.boxes[:, :2], detections.boxes[:, 2:] - detections.boxes[:, :2]])
    found = np.column_stack([detections.images, xywh, detections.scores, detections.labels])
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), 'bbox')
        evaluation.params.maxDets = [1, 10, 1000]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval['precision'][:, :, :, area, 2].mean(1).T


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize(('area', 'limits'), list(enumerate([None, *SIZES.values()])))
def test_average_precision_is_that_of_pycocotools(seed, area, limits):
    detections, truths = random_scene(seed)
    overlaps = find_overlaps(detections, truths)
    values = coco_average_precision(detections, truths, overlaps, 3, limits)
    expected = by_pycocotools(detections, truths, 3, area)
    assert np.nan_to_num(values, nan=-1) == pytest.approx(expected, abs=1e-9)
    assert (values > 0).any() or limits == SIZES['small']  # hardly any is found


@pytest.mark.parametrize('seed', range(5))
def test_the_order_of_predictions_and_truths_never_matters(seed):
    detections, truths = random_scene(seed)
    detections.scores = detections.scores.round(1)  # many ties
    detections.boxes[1:40:3] = detections.boxes[0:39:3]
    other, other_truths, _, columns = shuffled(seed, detections, truths)
    first = match_detections(detections, truths, find_overlaps(detections, truths))
    second = match_detections(other, other_truths, find_overlaps(other, other_truths))
    found, again = first.truths >= 0, second.truths >= 0
    assert sorted(detections.scores[found]) == sorted(other.scores[again])
    assert set(first.truths[found]) == set(columns[second.truths[again]])
    assert first.left_out.sum() == second.left_out.sum()
    assert found.sum() > 5


@pytest.mark.parametrize('seed', range(5))
def test_a_threshold_may_be_applied_afterwards(seed):
    detections, truths = random_scene(seed)
    whole = match_detections(detections, truths, find_overlaps(detections, truths))
    kept = detections.scores >= 0.5
    part = detections.select(kept)
    matches = match_detections(part, truths, find_overlaps(part, truths))
    np.testing.assert_array_equal(matches.truths, whole.truths[kept])
    np.testing.assert_array_equal(matches.left_out, whole.left_out[kept])


def matched(detections, truths, **options):
    matches = match_detections(detections, truths, find_overlaps(detections, truths), **options)
    return matches.truths.tolist(), matches.left_out.tolist()


def test_a_truth_takes_one_prediction_the_best_scored():
    detections = detections_of((0, 0, 0.6, 0, 0, 10, 10), (0, 0, 0.9, 0, 0, 10, 9))
    assert matched(detections, truths_of((0, 0, 0, 0, 10, 10))) == ([-1, 0], [False, False])


def test_a_prediction_whose_best_truth_is_taken_takes_the_next():
    detections = detections_of((0, 0, 0.9, 0, 0, 10, 10), (0, 0, 0.8, 0, 0, 10, 9))
    truths = truths_of((0, 0, 0, 0, 10, 10), (0, 0, 0, 0, 10, 6))
    assert matched(detections, truths)[0] == [0, 1]


def test_other_images_and_classes_do_not_match_but_classes_may_be_let_differ():
    detections = detections_of((0, 0, 0.9, 0, 0, 10, 10), (1, 1, 0.8, 0, 0, 10, 10))
    truths = truths_of((1, 0, 0, 0, 10, 10))
    assert matched(detections, truths)[0] == [-1, -1]
    assert matched(detections, truths, class_agnostic=True)[0] == [-1, 0]


def test_a_crowd_takes_any_number_of_predictions_and_they_count_for_nothing():
    detections = detections_of(
        (0, 0, 0.9, 0, 0, 10, 10), (0, 0, 0.8, 20, 0, 30, 10), (0, 0, 0.7, 300, 0, 310, 10)
    )
    truths = truths_of((0, 0, 0, 0, 100, 100), crowd=[0])
    assert matched(detections, truths) == ([-1, -1, -1], [True, True, False])
    assert len(counted_labels(truths)) == 0


def test_a_free_truth_goes_before_a_crowd_that_is_overlapped_more():
    detections = detections_of((0, 0, 0.9, 0, 0, 10, 10))
    truths = truths_of((0, 0, 0, 0, 100, 100), (0, 0, 0, 0, 10, 8), crowd=[0])
    assert matched(detections, truths) == ([1], [False])


def test_predictions_without_area_or_finite_coordinates_match_nothing_and_count_as_wrong():
    rows = [(0, 0, 0.9, 5, 5, 5, 5), (0, 0, 0.8, np.nan, 0, 10, 10), (0, 0, 0.7, 9, 9, 0, 0)]
    assert matched(detections_of(*rows), truths_of((0, 0, 0, 0, 10, 10))) == ([-1] * 3, [False] * 3)


def test_without_predictions_or_truths_there_are_no_matches():
    detections, truths = detections_of((0, 0, 0.9, 0, 0, 1, 1)), truths_of((0, 0, 0, 0, 1, 1))
    assert matched(detections, truths_of()) == ([-1], [False])
    assert matched(detections_of(), truths) == ([], [])
    overlaps = find_overlaps(detections_of(), truths)
    assert coco_average_precision(detections_of(), truths, overlaps, 1).tolist() == [[0.0] * 10]
    overlaps = find_overlaps(detections, truths_of())
    assert np.isnan(coco_average_precision(detections, truths_of(), overlaps, 1)).all()


def test_outcomes_hold_the_predictions_of_each_class_and_the_number_of_its_truths():
    detections = detections_of((0, 1, 0.9, 0, 0, 10, 10), (0, 0, 0.8, 0, 0, 9, 9))
    truths = truths_of((0, 1, 0, 0, 10, 10), (1, 1, 0, 0, 10, 10))
    matches = match_detections(detections, truths, find_overlaps(detections, truths))
    first, second, third = outcomes_by_class(detections, counted_labels(truths), matches, 3)
    assert (first.scores.tolist(), first.hits.tolist(), first.num_truths) == ([0.8], [False], 0)
    assert (second.scores.tolist(), second.hits.tolist(), second.num_truths) == ([0.9], [True], 2)
    assert (third.scores.tolist(), third.num_truths) == ([], 0)
    whole = pooled([first, second, third])
    assert (whole.scores.tolist(), whole.hits.tolist(), whole.num_truths) == ([0.8, 0.9], [0, 1], 2)


def test_localisation_errors_of_a_shifted_and_stretched_box():
    errors = localisation_errors(np.array([[3.0, 4, 23, 9]]), np.array([[0.0, 0, 10, 10]]))
    assert errors['centre_offset'] == pytest.approx([np.hypot(8, 1.5)])
    assert errors['relative_offset'] == pytest.approx([np.hypot(8, 1.5) / 10])
    assert (errors['width_ratio'], errors['height_ratio']) == ([2], [0.5])


def test_the_iou_of_matches_is_known_and_that_of_others_is_not():
    detections = detections_of((0, 0, 0.9, 0, 0, 10, 8), (0, 0, 0.8, 0, 0, 10, 10))
    truths = truths_of((0, 0, 0, 0, 10, 10))
    overlaps = find_overlaps(detections, truths)
    iou = matched_iou(match_detections(detections, truths, overlaps), overlaps)
    assert iou[0] == pytest.approx(0.8)
    assert np.isnan(iou[1])
