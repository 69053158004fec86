"""SSD predicts, and is otherwise the stock SSD."""

import pytest
import torch
from mmdet.models import SSDHead
from mmdet.models.losses import CrossEntropyLoss
from mmengine.config import ConfigDict
from mmengine.hub import get_config
from mmengine.structures import InstanceData
from tiny_runs import parts_that_learnt, train_and_test

from mmdet_ext.models.dense_heads.ssd_head import PredictingSSDHead

GENERATOR = dict(
    type='SSDAnchorGenerator',
    scale_major=False,
    input_size=300,
    strides=[32, 64],
    ratios=[[2], [2, 3]],
    min_sizes=[40, 80],
    max_sizes=[80, 160],
)
STDS = [0.1, 0.1, 0.2, 0.2]


def head_of(kind=PredictingSSDHead):
    torch.manual_seed(0)
    train_cfg = dict(
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.0),
        smoothl1_beta=1.0,
        allowed_border=-1,
        pos_weight=-1,
        neg_pos_ratio=3,
    )
    coder = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=STDS)
    head = kind(
        num_classes=3,
        in_channels=(4, 6),
        anchor_generator=GENERATOR,
        bbox_coder=coder,
        train_cfg=ConfigDict(train_cfg),
        test_cfg=ConfigDict(score_thr=0.3, nms_pre=1000),
    )
    head.init_weights()
    return head


def features():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, 4, 4, 4, generator=generator), torch.randn(
        1, 6, 2, 2, generator=generator
    )


META = dict(img_shape=(128, 128), pad_shape=(128, 128), scale_factor=(1, 1))


def test_weights_and_losses_are_those_of_the_stock_head():
    ours, stock = head_of(), head_of(SSDHead)
    assert ours.state_dict().keys() == stock.state_dict().keys()
    ours.load_state_dict(stock.state_dict())
    gt = InstanceData(
        bboxes=torch.tensor([[10.0, 10, 60, 50], [40, 30, 120, 120]]), labels=torch.tensor([0, 2])
    )
    got, expected = (h.loss_by_feat(*h(features()), [gt], [META]) for h in (ours, stock))
    assert got == expected
    assert got['loss_cls'][0] > 0


def test_predictions_are_the_softmax_scores_and_the_boxes_moved_by_the_offsets():
    head = head_of()
    scores, offsets = head(features())
    found = head.predict_by_feat(scores, offsets, batch_img_metas=[META], with_nms=False)[0]
    rows = [
        torch.cat([m[0].permute(1, 2, 0).reshape(-1, width) for m in maps])
        for maps, width in ((scores, 4), (offsets, 4))
    ]
    probabilities = rows[0].double().exp()
    probabilities /= probabilities.sum(1, keepdim=True)
    anchors = torch.cat(head.prior_generator.grid_priors([(4, 4), (2, 2)], device='cpu')).double()
    size = anchors[:, 2:] - anchors[:, :2]
    delta = rows[1].double() * torch.tensor(STDS)
    centre = (anchors[:, :2] + anchors[:, 2:]) / 2 + delta[:, :2] * size
    size = size * delta[:, 2:].exp()
    boxes = torch.cat([centre - size / 2, centre + size / 2], 1).clamp(0, 128)
    expected = [
        (round(probabilities[i, label].item(), 4), label, *boxes[i].tolist())
        for i, label in (probabilities[:, :3] > 0.3).nonzero().tolist()
    ]
    got = zip(found.scores.tolist(), found.labels.tolist(), found.bboxes.tolist(), strict=True)
    got = sorted((round(score, 4), label, *box) for score, label, box in got)
    assert len(got) == len(expected) > 5
    for one, other in zip(got, sorted(expected), strict=True):
        assert one == pytest.approx(other, abs=1e-2)


def test_the_loss_of_a_stock_head_that_has_one_is_kept(monkeypatch):
    stock_init = SSDHead.__init__

    def fixed_init(self, *args, **kwargs):
        stock_init(self, *args, **kwargs)
        self.loss_cls = CrossEntropyLoss()

    monkeypatch.setattr(SSDHead, '__init__', fixed_init)
    assert isinstance(head_of().loss_cls, CrossEntropyLoss)


def test_the_stock_config_with_another_type_of_head_trains_validates_and_tests(tmp_path):
    cfg = get_config('mmdet::ssd/ssd300_coco.py')
    channels = (16, 32, 16, 16, 16, 16)
    narrow = dict(
        backbone=dict(_delete_=True, type='ResNet', depth=18, base_channels=8, out_indices=(1, 2)),
        neck=dict(in_channels=channels[:2], out_channels=channels),
        bbox_head=dict(type='PredictingSSDHead', in_channels=channels, num_classes=3),
        test_cfg=dict(score_thr=0),
    )
    cfg.merge_from_dict(dict(model=narrow))
    runner, before, metrics = train_and_test(cfg, tmp_path)
    assert runner.iter == 2
    assert parts_that_learnt(runner.model, before) == {'backbone', 'neck', 'bbox_head'}
    assert 0 <= metrics['coco/bbox_mAP'] <= 1
