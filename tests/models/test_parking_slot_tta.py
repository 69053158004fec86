"""Merging of test-time augmentation."""

import pytest
import torch
from mmengine.structures import InstanceData

from mmdet_ext.models.test_time_augs.parking_slot_tta import merge_near


def merge(points, scores, copies, radius=5.0):
    points = torch.tensor(points).reshape(-1, 2)
    near = torch.cdist(points, points) < radius
    instances = InstanceData(
        points=points, scores=torch.tensor(scores), shapes=torch.arange(len(points))
    )
    return merge_near(instances, near, 'points', copies)


def test_one_object_in_all_copies_is_averaged_by_score():
    merged = merge([[10.0, 10.0], [12.0, 10.0]], [0.9, 0.6], copies=2)
    assert merged.points.tolist() == [pytest.approx([(9 + 7.2) / 1.5, 10.0])]
    assert merged.scores.tolist() == pytest.approx([0.75])
    assert merged.shapes.tolist() == [0]


def test_what_few_copies_show_loses_score():
    merged = merge([[10.0, 10.0], [50.0, 10.0], [10.0, 11.0]], [0.9, 0.8, 0.7], copies=2)
    assert merged.scores.tolist() == pytest.approx([0.8, 0.4])


def test_nothing_merges_to_nothing():
    assert len(merge([], [], copies=4)) == 0
