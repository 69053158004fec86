"""Agreement of two files that find boxes, by hand."""

import numpy as np
import pytest

from mmdet_ext.deploy.box_agreement import box_agreement
from mmdet_ext.deploy.runtime import BoxPredictions


def finder(boxes, scores, labels):
    found = BoxPredictions(
        np.array(boxes, float).reshape(-1, 4), np.array(scores), np.array(labels)
    )
    return lambda image: [found]


def test_boxes_of_one_class_that_overlap_enough_agree_one_to_one():
    truth = finder([[0, 0, 10, 10], [20, 0, 30, 10], [0, 50, 10, 60]], [0.9, 0.9, 0.9], [0, 1, 0])
    # The first at IoU 0.8, the second of another class, one twice, one too unsure to count.
    ours = finder(
        [[0, 0, 10, 8], [20, 0, 30, 10], [0, 0, 10, 10], [70, 0, 80, 10]],
        [0.9, 0.9, 0.9, 0.2],
        [0, 0, 0, 0],
    )
    agreement = box_agreement(ours, truth, ['image', 'image'])
    assert agreement.f1 == pytest.approx(2 * 2 / (6 + 6))
    assert agreement.mean_iou == 1  # the better of the two that lie on the first
    whole = box_agreement(truth, truth, ['image'])
    assert (whole.f1, whole.mean_iou) == (1, 1)


def test_nothing_found_by_either_is_no_error():
    nothing = finder([], [], [])
    assert box_agreement(nothing, nothing, ['image']).f1 == 0
