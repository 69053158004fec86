"""The losses in the slots of stock heads: they get what they expect, and the heads learn by them."""

from copy import deepcopy
from functools import cache

import numpy as np
import pytest
import torch
from loss_references import (
    box_losses,
    focal_losses,
    one_hot,
    smoothed_binary_cross_entropies,
    smoothed_cross_entropies,
)
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.structures import InstanceData

BACKBONE = dict(
    depth=18, base_channels=8, init_cfg=None, frozen_stages=-1, norm_eval=False, style='pytorch'
)
NECK = dict(in_channels=[8, 16, 32, 64], out_channels=16)
DENSE = dict(num_classes=3, in_channels=16, feat_channels=16, stacked_convs=1)
BOXES = {'TorchvisionGIoULoss': 0, 'TorchvisionDIoULoss': 1, 'TorchvisionCIoULoss': 2}


stock_config = cache(get_config)


def detector(name, changes):
    torch.manual_seed(0)
    cfg = Config(dict(model=deepcopy(stock_config(f'mmdet::{name}').model)))
    cfg.merge_from_dict(dict(model=dict(backbone=BACKBONE, neck=NECK) | changes))
    return MODELS.build(cfg.model)


def replaced(head):
    """Losses in place of the stock ones, not merged into them."""
    return {k: v | dict(_delete_=True) if isinstance(v, dict) else v for k, v in head.items()}


def retinanet(**head):
    return detector(
        'retinanet/retinanet_r18_fpn_1x_coco.py', dict(bbox_head=DENSE | replaced(head))
    )


def fcos(**head):
    name = 'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'
    return detector(name, dict(bbox_head=DENSE | dict(norm_cfg=None) | replaced(head)))


def faster_rcnn(**head):
    bbox_head = dict(in_channels=16, fc_out_channels=16, num_classes=3) | replaced(head)
    changes = dict(
        rpn_head=dict(in_channels=16, feat_channels=16),
        roi_head=dict(bbox_roi_extractor=dict(out_channels=16), bbox_head=bbox_head),
    )
    return detector('faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', changes)


def losses_of(model, boxes=((10.0, 10.0, 60.0, 50.0), (40.0, 60.0, 120.0, 110.0))):
    sample = DetDataSample(metainfo=dict(img_shape=(128, 128), pad_shape=(128, 128)))
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor(boxes).view(-1, 4), labels=torch.arange(len(boxes))
    )
    generator = torch.Generator().manual_seed(0)
    return model.loss(torch.randn(1, 3, 128, 128, generator=generator), [sample])


def calls_of(loss):
    """What a loss is called with and gives, as it is called."""
    calls = []
    names = ('pred', 'target', 'weight')

    def note(module, args, kwargs, result):
        given = dict(zip(names, args, strict=False)) | kwargs
        calls.append(given | dict(result=result))

    loss.register_forward_hook(note, with_kwargs=True)
    return calls


def assert_calls(calls, reference):
    """Results are weighted sums, divided by the factor, of a NumPy reference."""
    assert calls
    for call in calls:
        pred, target = (call[name].detach().double().numpy() for name in ('pred', 'target'))
        items = reference(pred, target.astype(int) if call['target'].dim() == 1 else target)
        weight = call.get('weight')
        if weight is not None:
            weight = weight.detach().double().numpy()
            if weight.ndim > items.ndim:
                weight = weight.mean(-1)
            items = np.nan_to_num(items) * weight.reshape(len(items), *[1] * (items.ndim - 1))
        expected = items.sum() / float(call['avg_factor'])
        assert call['result'].item() == pytest.approx(expected, rel=1e-3, abs=1e-5)


def assert_learns(model):
    """One loss falls over a few steps on one image."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    totals = []
    for _ in range(6):
        optimizer.zero_grad()
        _, values = model.parse_losses(losses_of(model))
        values['loss'].backward()
        optimizer.step()
        totals.append(values['loss'].item())
    assert totals[-1] < 0.9 * totals[0]


def proper(column):
    def reference(pred, target):
        with np.errstate(all='ignore'):
            used = (target[:, 2:] > target[:, :2]).all(1)  # zeros: background
            items = np.zeros(len(pred))
            if used.any():
                items[used] = box_losses(pred[used], target[used])[:, column]
        return items

    return reference


@pytest.mark.parametrize('name', BOXES)
def test_retinanet_with_decoded_boxes(name):
    model = retinanet(loss_bbox=dict(type=name), reg_decoded_bbox=True)
    calls = calls_of(model.bbox_head.loss_bbox)
    losses_of(model)
    assert_calls(calls, proper(BOXES[name]))
    assert_learns(model)


@pytest.mark.parametrize(
    ('cfg', 'reference'),
    [
        (dict(type='TorchvisionFocalLoss', alpha=-1), lambda p, t: focal_losses(p, t, None, 2)),
        (
            dict(type='SmoothedCrossEntropyLoss', smoothing=0.1),
            lambda p, t: smoothed_binary_cross_entropies(p, t, 0.1),
        ),
    ],
)
def test_retinanet_with_sigmoids(cfg, reference):
    model = retinanet(loss_cls=cfg | dict(use_sigmoid=True))
    calls = calls_of(model.bbox_head.loss_cls)
    losses_of(model)
    assert_calls(calls, lambda pred, labels: reference(pred, one_hot(labels, 3)))
    assert_learns(model)


def test_fcos():
    model = fcos(
        loss_cls=dict(type='TorchvisionFocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='TorchvisionCIoULoss'),
        loss_centerness=dict(type='SmoothedCrossEntropyLoss', use_sigmoid=True),
    )
    classes, boxes = calls_of(model.bbox_head.loss_cls), calls_of(model.bbox_head.loss_bbox)
    losses_of(model)
    assert_calls(classes, lambda p, t: focal_losses(p, one_hot(t, 3), 0.25, 2))
    assert_calls(boxes, proper(2))
    assert_learns(model)


def test_faster_rcnn_with_softmax_and_decoded_boxes():
    model = faster_rcnn(
        loss_cls=dict(type='SmoothedCrossEntropyLoss', use_sigmoid=False),
        loss_bbox=dict(type='TorchvisionDIoULoss'),
        reg_decoded_bbox=True,
    )
    head = model.roi_head.bbox_head
    classes, boxes = calls_of(head.loss_cls), calls_of(head.loss_bbox)
    losses = losses_of(model)
    assert_calls(classes, lambda p, t: smoothed_cross_entropies(p, t, 0.1))
    assert_calls(boxes, proper(1))
    assert 0 <= losses['acc'].item() <= 100
    assert_learns(model)


@pytest.mark.parametrize('build', [retinanet, fcos, faster_rcnn])
def test_an_image_without_objects_trains_on_the_background_alone(build):
    softmax = build is faster_rcnn
    model = build(
        loss_cls=dict(type='SmoothedCrossEntropyLoss', use_sigmoid=not softmax),
        loss_bbox=dict(type='TorchvisionGIoULoss'),
        **({} if build is fcos else dict(reg_decoded_bbox=True)),
    )
    total, values = model.parse_losses(losses_of(model, boxes=()))
    total.backward()
    assert values['loss_bbox'] == 0
    assert values['loss_cls'] > 0
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
