"""A detector with a balancer is that detector: only the total of its losses differs."""

from copy import deepcopy
from functools import cache

import numpy as np
import pytest
import torch
from mmdet.models import FasterRCNN, RetinaNet
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.model import ExponentialMovingAverage, MMDistributedDataParallel
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from mmdet_ext.apis.run import load_config

HEAD = dict(num_classes=3, in_channels=16, feat_channels=16, stacked_convs=1)
CHANGES = dict(
    backbone=dict(depth=18, base_channels=8, init_cfg=None, frozen_stages=-1, norm_eval=False),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=16),
)
RETINANET = (
    'retinanet/retinanet_r18_fpn_1x_coco.py',
    CHANGES | dict(bbox_head=HEAD, test_cfg=dict(score_thr=0.0)),
)
FASTER_RCNN = (
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    CHANGES
    | dict(
        rpn_head=dict(in_channels=16, feat_channels=16),
        roi_head=dict(
            bbox_roi_extractor=dict(out_channels=16),
            bbox_head=dict(in_channels=16, fc_out_channels=16, num_classes=3),
        ),
    ),
)
FIXED = dict(type='FixedWeights', weights={'loss_cls': 2.0, 'loss_bbox': 0.5})
UNCERTAINTY = dict(type='UncertaintyWeighting')


@pytest.fixture(autouse=True)
def mmdet_scope():
    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


stock_config = cache(get_config)


def config(name, changes):
    cfg = Config(dict(model=deepcopy(stock_config(f'mmdet::{name}').model)))
    cfg.merge_from_dict(dict(model=changes))
    return cfg.model


def pair(balancer, stock=RETINANET):
    """A plain detector and one with a balancer, of the same weights."""
    torch.manual_seed(0)
    plain = MODELS.build(config(*stock))
    balanced = MODELS.build(
        dict(type='LossBalancedDetector', detector=config(*stock), balancer=balancer)
    )
    balanced.load_state_dict(plain.state_dict(), strict=False)
    return plain, balanced


def batch():
    sample = DetDataSample(
        metainfo=dict(
            img_shape=(128, 128),
            pad_shape=(128, 128),
            ori_shape=(128, 128),
            scale_factor=(1.0, 1.0),
        )
    )
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[10.0, 10, 60, 50], [40, 60, 120, 110]]), labels=torch.tensor([0, 2])
    )
    image = torch.randint(0, 255, (3, 128, 128), generator=torch.Generator().manual_seed(0))
    return dict(inputs=[image.to(torch.uint8)], data_samples=[sample])


def step(model, lr=0.0):
    """What one training step logs."""
    torch.manual_seed(0)  # of Faster R-CNN's samplers
    wrapper = OptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=lr))
    return {name: float(value) for name, value in model.train_step(batch(), wrapper).items()}


def test_it_is_an_instance_of_the_detector_with_its_heads():
    _, model = pair(FIXED)
    assert isinstance(model, RetinaNet)
    assert type(model).__name__ == 'LossBalancedRetinaNet'
    assert model.bbox_head.num_classes == 3


def test_state_dicts_differ_in_the_balancer_alone_and_go_either_way():
    plain, model = pair(UNCERTAINTY)
    added = {'loss_balancer.log_variances', 'loss_balancer.names'}
    assert model.state_dict().keys() - plain.state_dict().keys() == added
    missing, unexpected = model.load_state_dict(plain.state_dict(), strict=False)
    assert (set(missing), unexpected) == (added, [])
    assert set(plain.load_state_dict(model.state_dict(), strict=False).unexpected_keys) == added


def test_predictions_are_those_of_the_plain_detector():
    plain, model = pair(UNCERTAINTY)
    results = [m.eval().test_step(batch())[0].pred_instances for m in (plain, model)]
    assert len(results[0]) > 0
    for name in ('bboxes', 'scores', 'labels'):
        torch.testing.assert_close(results[1][name], results[0][name], rtol=0, atol=0)


@pytest.mark.parametrize('stock', [RETINANET, FASTER_RCNN])
def test_the_log_has_the_plain_losses_the_weights_and_the_balanced_total(stock):
    plain, model = pair(FIXED, stock)
    before, after = step(plain), step(model)
    weights = {'weight/loss_cls': 2, 'weight/loss_bbox': 0.5}
    assert after == pytest.approx({**before, **weights, 'loss': after['loss']})
    expected = before['loss'] + before['loss_cls'] - before['loss_bbox'] / 2
    assert after['loss'] == pytest.approx(expected)
    assert next(iter(after)) == 'loss'
    if stock is FASTER_RCNN:
        assert isinstance(model, FasterRCNN)
        assert after['acc'] == before['acc']


def test_gradients_of_the_detector_are_weighted():
    plain, model = pair(FIXED)
    for m in (plain, model):
        losses = m.loss(torch.ones(1, 3, 128, 128), batch()['data_samples'])
        m.parse_losses(losses)[0].backward()
    gradients = [m.bbox_head.retina_cls.weight.grad for m in (plain, model)]
    torch.testing.assert_close(gradients[1], 2 * gradients[0])
    gradients = [m.bbox_head.retina_reg.weight.grad for m in (plain, model)]
    torch.testing.assert_close(gradients[1], gradients[0] / 2)


def test_the_parameters_of_the_balancer_are_in_the_optimizer_and_learn():
    _, model = pair(UNCERTAINTY)
    cfg = dict(
        type='OptimWrapper',
        optimizer=dict(type='SGD', lr=0.1, weight_decay=1.0),
        paramwise_cfg=dict(custom_keys=dict(loss_balancer=dict(decay_mult=0))),
    )
    wrapper = build_optim_wrapper(model, cfg)
    parameter = model.loss_balancer.log_variances
    (group,) = [g for g in wrapper.optimizer.param_groups if g['params'][0] is parameter]
    assert group['weight_decay'] == 0
    log = model.train_step(batch(), wrapper)
    expected = [-0.1 * (0.5 - float(log[name])) for name in ('loss_bbox', 'loss_cls')]
    np.testing.assert_allclose(parameter.detach()[:2], expected, rtol=1e-4)
    assert not parameter[2:].any()


def test_copies_and_moving_averages_of_it_work():
    _, model = pair(UNCERTAINTY)
    step(model)
    copy = deepcopy(model)
    assert step(copy) == step(model)
    average = ExponentialMovingAverage(model, momentum=0.5)
    average.update_parameters(model)
    with torch.no_grad():
        model.loss_balancer.log_variances += 1
    average.update_parameters(model)
    assert average.module.loss_balancer.log_variances[0] == 0.5
    assert torch.equal(average.module.loss_balancer.names, model.loss_balancer.names)


@pytest.mark.parametrize('find_unused', [False, True])
def test_it_trains_under_distributed_data_parallel(find_unused):
    _, model = pair(UNCERTAINTY)
    torch.distributed.init_process_group(
        'gloo', store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        wrapped = MMDistributedDataParallel(model, find_unused_parameters=find_unused)
        logs = [step(wrapped, lr=0.01) for _ in range(2)]
    finally:
        torch.distributed.destroy_process_group()
    assert logs[0]['weight/loss_cls'] == 1
    assert logs[1]['weight/loss_cls'] == pytest.approx(np.exp(0.01 * (0.5 - logs[0]['loss_cls'])))


def test_the_config_of_the_default_with_balanced_losses_keeps_the_decay_away():
    cfg = load_config('ext/psd_yolo_balanced.py')
    model = MODELS.build(cfg.model)
    plain = MODELS.build(load_config('ext/psd_yolo.py').model)
    added = {'loss_balancer.log_variances', 'loss_balancer.names'}
    assert model.state_dict().keys() - plain.state_dict().keys() == added
    wrapper = build_optim_wrapper(model, deepcopy(cfg.optim_wrapper))
    decays = {
        group['weight_decay']
        for group in wrapper.optimizer.param_groups
        if group['params'][0] is model.loss_balancer.log_variances
    }
    assert decays == {0}
