"""Stock RetinaNet, YOLOX and Faster R-CNN with the kit's NMS, from their test_cfg alone."""

import importlib
import pickle
import sys
from functools import lru_cache
from types import ModuleType

import mmcv.ops
import pytest
import torch
from mmdet.models.layers import multiclass_nms
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope
from stock_detectors import stock_config
from torch.testing import assert_close

from mmdet_ext.models.layers import nms

DETECTORS = ('RetinaNet', 'YOLOX', 'Faster R-CNN')
EACH = [
    dict(type='adaptive_nms', iou_threshold=0.4),
    dict(type='cluster_nms', iou_threshold=0.4),
    dict(type='cluster_nms', iou_threshold=0.4, score_penalty=True, weighted=True),
    dict(type='diou_nms', iou_threshold=0.4),
    dict(type='matrix_nms', min_score=0.0),
    dict(type='softer_nms', iou_threshold=0.4, variance=1.0, sigma_t=0.5),
    dict(type='weighted_nms', iou_threshold=0.1),
]
CHANGES_BOXES = ('softer_nms', 'weighted_nms')
each_detector = pytest.mark.parametrize('name', DETECTORS)
each_variant = pytest.mark.parametrize(
    'cfg', EACH, ids=lambda cfg: '-'.join(map(str, cfg.values()))
)


@lru_cache
def detector(name):
    """A narrow stock detector with random weights, and the test_cfg that its NMS is in."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(stock_config(name).model).eval()
    torch.nn.init.normal_(_classifier(model, name).weight, std=0.5)  # scores that differ
    return model, (model.roi_head if name == 'Faster R-CNN' else model.bbox_head).test_cfg


def predict(name, nms_cfg, rescale=False, most=100_000):
    """Predictions for two images, the same each time."""
    model, test_cfg = detector(name)
    test_cfg.nms, test_cfg.max_per_img = nms_cfg, most
    metas = dict(
        img_shape=(96, 128),
        ori_shape=(48, 32),
        batch_input_shape=(96, 128),
        scale_factor=(4.0, 2.0),
    )
    samples = [DetDataSample(metainfo=metas) for _ in range(2)]
    images = torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = model.predict(images, samples, rescale=rescale)
    return [sample.pred_instances for sample in found]


def _classifier(model, name):
    if name == 'Faster R-CNN':
        return model.roi_head.bbox_head.fc_cls
    return (
        model.bbox_head.retina_cls
        if name == 'RetinaNet'
        else model.bbox_head.multi_level_conv_cls[0]
    )


@each_detector
@each_variant
@pytest.mark.parametrize('rescale', [False, True])
def test_predict_gives_what_the_variant_makes_of_the_raw_boxes(name, cfg, rescale):
    raws = predict(name, None, rescale)
    for raw, found in zip(raws, predict(name, cfg, rescale), strict=True):
        kept, index = nms.batched_nms(raw.bboxes, raw.scores, raw.labels, cfg)
        assert len(index) > 10
        assert_close(found.bboxes, kept[:, :4])
        assert_close(found.scores, kept[:, 4])
        assert_close(found.labels, raw.labels[index])
        if cfg['type'] in CHANGES_BOXES:
            assert (found.bboxes - raw.bboxes[index]).abs().amax(1).gt(1e-3).sum() > 1


@pytest.mark.parametrize('name', ['RetinaNet', 'Faster R-CNN'])
@pytest.mark.parametrize('cfg', [EACH[5], EACH[6]], ids=lambda cfg: cfg['type'])
def test_max_per_img_cuts_the_best_changed_boxes(name, cfg):
    for few, all_ in zip(predict(name, cfg, most=7), predict(name, cfg), strict=True):
        assert len(few) == 7
        assert_close(few.bboxes, all_.bboxes[:7])
        assert_close(few.scores, all_.scores[:7])


@each_detector
def test_a_threshold_that_no_box_passes_gives_no_boxes(name):
    cfg = dict(type='matrix_nms', min_score=1.0)
    assert [len(found) for found in predict(name, cfg)] == [0, 0]


@each_detector
def test_stock_nms_is_what_it_was(name):
    cfg = dict(type='nms', iou_threshold=0.4)
    for raw, found in zip(predict(name, None), predict(name, cfg), strict=True):
        original = nms.dispatch.mmcv_batched_nms()
        kept, index = original(raw.bboxes, raw.scores, raw.labels, cfg)
        assert_close(found.bboxes, kept[:, :4], rtol=0, atol=0)
        assert_close(found.bboxes, raw.bboxes[index], rtol=0, atol=0)


@each_detector
def test_an_unknown_name_is_answered_with_near_ones(name):
    with pytest.raises(ValueError, match=r"'dio_nms' is unknown \(did you mean diou_nms"):
        predict(name, dict(type='dio_nms', iou_threshold=0.5))


def test_proposals_can_be_suppressed_by_a_variant_too():
    cfg = stock_config('Faster R-CNN').model
    cfg.test_cfg.rpn.nms = dict(type='weighted_nms', iou_threshold=0.3)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(cfg).eval()
    sample = DetDataSample(metainfo=dict(img_shape=(96, 128), ori_shape=(96, 128)))
    with torch.no_grad():
        features = model.extract_feat(torch.randn(1, 3, 96, 128))
        proposals = model.rpn_head.predict(features, [sample], rescale=False)[0]
        model.rpn_head.test_cfg.update(nms=None, max_per_img=100_000)
        raw = model.rpn_head.predict(features, [sample], rescale=False)[0]
    assert 0 < len(proposals) <= 10
    moved = (proposals.bboxes[:, None] - raw.bboxes).abs().amax(2).amin(1)
    assert (moved > 1e-3).any()


def test_boxes_of_a_computation_graph_are_the_changed_ones_and_keep_a_gradient():
    leaf = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10]], requires_grad=True)
    boxes, scores, labels = leaf * 1, torch.tensor([0.5, 0.5]), torch.zeros(2).long()
    kept, index = mmcv.ops.batched_nms(boxes, scores, labels, dict(type='weighted_nms'))
    assert index.tolist() == [0]
    assert_close(boxes[index].detach(), kept[:, :4])
    assert kept[0, 0] > 0
    boxes[index].sum().backward()
    assert leaf.grad.tolist() == [[1, 1, 1, 1], [0, 0, 0, 0]]


def test_all_that_mmdet_calls_is_replaced_once_and_can_be_pickled():
    original = nms.dispatch.mmcv_batched_nms()
    ours = mmcv.ops.batched_nms
    nms.install()
    assert mmcv.ops.batched_nms is ours is not original
    assert importlib.import_module('mmcv.ops.nms').batched_nms is ours
    assert multiclass_nms.__globals__['batched_nms'] is ours
    holders = [
        m
        for m in list(sys.modules.values())
        if getattr(m, '__dict__', {}).get('batched_nms') is original
    ]
    assert holders == []
    assert pickle.loads(pickle.dumps(ours)) is ours
    assert ours.__doc__ == original.__doc__


def test_a_module_that_had_mmcvs_gets_the_kits_and_other_names_are_left_alone(monkeypatch):
    module = ModuleType('own_heads')
    module.batched_nms = nms.dispatch.mmcv_batched_nms()
    module.other = nms.dispatch.mmcv_batched_nms()
    monkeypatch.setitem(sys.modules, 'own_heads', module)
    monkeypatch.setitem(sys.modules, 'not_there', None)  # as blocked imports leave it
    nms.install()
    assert module.batched_nms is mmcv.ops.batched_nms
    assert module.other is not mmcv.ops.batched_nms
