"""PointsAsAnchorsAssigner: what the inner assigner answers for square anchors around the points."""

import numpy as np
import pytest
import torch
from mmdet.models.task_modules.assigners import ATSSAssigner, MaxIoUAssigner, TaskAlignedAssigner
from mmengine.structures import InstanceData

from mmdet_ext.models.task_modules.assigners import PointsAsAnchorsAssigner

LEVELS = ((8, 8), (16, 4))  # stride, points a side


def instances(seed, objects=3):
    """Random predictions at the points of two levels; random objects."""
    rng = torch.Generator().manual_seed(seed)
    points = [
        torch.tensor(
            [
                (stride * (i + 0.5), stride * (j + 0.5), stride, stride)
                for j in range(side)
                for i in range(side)
            ]
        )
        for stride, side in LEVELS
    ]
    low, size = (
        torch.rand(objects, 2, generator=rng) * 30,
        10 + 20 * torch.rand(objects, 2, generator=rng),
    )
    priors = torch.cat(points)
    offsets = 4 + 8 * torch.rand(len(priors), 4, generator=rng)
    predicted = InstanceData(
        priors=priors,
        bboxes=torch.cat([priors[:, :2] - offsets[:, :2], priors[:, :2] + offsets[:, 2:]], 1),
        scores=torch.rand(len(priors), 3, generator=rng),
    )
    truth = InstanceData(bboxes=torch.cat([low, low + size], 1), labels=torch.arange(objects) % 3)
    return predicted, truth


def anchors_of(predicted, scale):
    x, y, stride, _ = predicted.priors.T
    half = stride * scale / 2
    return torch.stack([x - half, y - half, x + half, y + half], 1)


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('scale', [2.0, 4.0])
def test_answer_is_that_for_the_anchors(seed, scale):
    predicted, truth = instances(seed)
    anchors = InstanceData(priors=anchors_of(predicted, scale))
    aware = InstanceData(priors=anchors.priors, bboxes=predicted.bboxes, scores=predicted.scores)
    iou = MaxIoUAssigner(0.4, 0.4).assign(anchors, truth)
    atss = ATSSAssigner(9).assign(anchors, [64, 16], truth)
    aligned = TaskAlignedAssigner(5).assign(aware, truth)
    for cfg, expected in (
        (dict(type='MaxIoUAssigner', pos_iou_thr=0.4, neg_iou_thr=0.4), iou),
        (dict(type='ATSSAssigner', topk=9), atss),
        (dict(type='TaskAlignedAssigner', topk=5), aligned),
    ):
        found = PointsAsAnchorsAssigner(cfg, scale).assign(predicted, truth)
        assert found.gt_inds.max() > 0
        assert found.gt_inds.tolist() == expected.gt_inds.tolist()
        assert found.labels.tolist() == expected.labels.tolist()


def test_overlaps_are_those_of_predictions_with_their_objects():
    predicted, truth = instances(0)
    found = PointsAsAnchorsAssigner(dict(type='ATSSAssigner', topk=9), 4).assign(predicted, truth)
    for index, number in enumerate(found.gt_inds.tolist()):
        overlap = 0.0
        if number:
            a, b = predicted.bboxes[index].numpy(), truth.bboxes[number - 1].numpy()
            common = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
            overlap = common / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - common)
        assert found.max_overlaps[index] == pytest.approx(overlap, abs=1e-5)


def test_no_objects_leave_background():
    predicted, _ = instances(0)
    none = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64))
    for cfg in (
        dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5),
        dict(type='ATSSAssigner', topk=9),
        dict(type='TaskAlignedAssigner', topk=13),
    ):
        found = PointsAsAnchorsAssigner(cfg).assign(predicted, none)
        assert found.gt_inds.tolist() == [0] * 80
        assert found.max_overlaps.tolist() == [0.0] * 80


def test_predictions_in_bfloat16_are_taken():
    predicted, truth = instances(1)
    half = InstanceData(
        priors=predicted.priors,
        bboxes=predicted.bboxes.bfloat16(),
        scores=predicted.scores.bfloat16(),
    )
    rounded = InstanceData(
        priors=half.priors, bboxes=half.bboxes.float(), scores=half.scores.float()
    )
    assigner = PointsAsAnchorsAssigner(dict(type='TaskAlignedAssigner', topk=5))
    found, expected = assigner.assign(half, truth), assigner.assign(rounded, truth)
    assert found.gt_inds.tolist() == expected.gt_inds.tolist()
    assert found.max_overlaps.dtype == torch.float32
