"""Suppression of a batch, beside torchvision's, image by image."""

import pytest
import torch
from torchvision.ops import batched_nms, nms

from mmdet_ext.deploy.stock_suppression import check_exportable_nms, suppress

CFG = dict(type='nms', iou_threshold=0.5)


def crowd(images: int, boxes: int, classes: int, seed: int = 0):
    """Boxes of several classes, many of them over each other, a fifth of them of no score."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(images, boxes, 2, generator=generator) * 60 - 20  # some of them negative
    size = torch.rand(images, boxes, 2, generator=generator) * 40 + 5
    scores = (torch.rand(images, boxes, generator=generator) - 0.2).clamp(min=0)
    labels = torch.randint(classes, (images, boxes), generator=generator)
    return torch.cat([corner, corner + size], -1), scores, labels


@pytest.mark.parametrize('agnostic', [False, True])
def test_each_image_keeps_what_torchvision_keeps_of_its_boxes_with_a_score(agnostic):
    boxes, scores, labels = crowd(3, 200, 4)
    cfg = CFG | dict(class_agnostic=agnostic)
    found = suppress(boxes, scores, labels, cfg, 150)
    for i in range(3):
        real = scores[i].nonzero()[:, 0]
        rows = boxes[i, real], scores[i, real], labels[i, real]
        kept = nms(*rows[:2], 0.5) if agnostic else batched_nms(*rows, 0.5)
        assert 5 < len(kept) < 150
        for ours, theirs in zip(found, rows, strict=True):
            torch.testing.assert_close(ours[i, : len(kept)], theirs[kept])
            assert not ours[i, len(kept) :].any()


def test_overlapping_boxes_stay_if_their_classes_differ():
    boxes = torch.tensor([[[-5.0, -5, 10, 10], [-5, -5, 10, 10], [-5, -5, 10, 10.5]]])
    scores = torch.tensor([[0.9, 0.8, 0.7]])
    _, kept, labels = suppress(boxes, scores, torch.tensor([[0, 1, 1]]), CFG, 3)
    torch.testing.assert_close(kept, torch.tensor([[0.9, 0.8, 0.0]]))
    assert labels.tolist() == [[0, 1, 0]]


def test_there_are_never_more_results_than_candidates():
    boxes, scores, labels = crowd(2, 6, 2)
    assert [value.shape[1] for value in suppress(boxes, scores, labels, CFG, 100)] == [6, 6, 6]


@pytest.mark.parametrize(
    'cfg', [None, dict(type='soft_nms', iou_threshold=0.5), CFG | dict(max_num=3)]
)
def test_what_is_no_plain_suppression_is_refused_with_the_remedy(cfg):
    with pytest.raises(ValueError, match=r'ONNX has plain suppression only: export with --cfg-opt'):
        check_exportable_nms(cfg)
