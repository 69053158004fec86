"""Batch norms folded into convolutions: the same results, with fewer layers."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmcv.cnn import ConvModule, build_conv_layer
from mmcv.cnn import fuse_conv_bn as mmcv_fuse_conv_bn
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.registry import DefaultScope
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdet_ext.apis.fusion import FuseConvBNHook, fuse_conv_bn
from mmdet_ext.utils.configs import config_path

RESNET = dict(type='ResNet', depth=18, base_channels=8, stem_channels=8, norm_eval=False)
CHANNELS = [8, 16, 32, 64]
STOCK = {
    'ResNet and FPN': [
        RESNET,
        dict(
            type='FPN', in_channels=CHANNELS, out_channels=8, num_outs=4, norm_cfg=dict(type='BN')
        ),
    ],
    'SyncBN': [{**RESNET, 'norm_cfg': dict(type='SyncBN')}],
    'CBN': [{**RESNET, 'norm_cfg': dict(type='CBN')}],
    'CmBN': [{**RESNET, 'norm_cfg': dict(type='CmBN')}],
    'YOLOX': [
        dict(type='CSPDarknet', deepen_factor=0.33, widen_factor=0.125),
        dict(type='YOLOXPAFPN', in_channels=[32, 64, 128], out_channels=32, num_csp_blocks=1),
        dict(type='YOLOXHead', num_classes=3, in_channels=32, feat_channels=32),
    ],
    'MobileNetV2': [dict(type='MobileNetV2', widen_factor=0.25)],
    'RTMDet': [
        dict(type='CSPNeXt', deepen_factor=0.167, widen_factor=0.125),
        dict(type='CSPNeXtPAFPN', in_channels=[32, 64, 128], out_channels=32, num_csp_blocks=1),
        dict(
            type='RTMDetSepBNHead',
            num_classes=3,
            in_channels=32,
            feat_channels=32,
            anchor_generator=dict(type='MlvlPointGenerator', strides=[8, 16, 32]),
            bbox_coder=dict(type='DistancePointBBoxCoder'),
        ),
    ],
}


@pytest.fixture(autouse=True)
def mmdet_scope():
    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def trained(model):
    """Statistics and scales that no fold could ignore."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            for tensor, low, high in (
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
            ):
                tensor.uniform_(low, high)
    model.eval()
    return model


def build(parts):
    return trained(nn.Sequential(*(MODELS.build(part) for part in parts)))


def tensors_of(value):
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for item in value for tensor in tensors_of(item)]


def count_norms(model):
    return sum(isinstance(module, _BatchNorm) for module in model.modules())


@torch.no_grad()
def assert_fusion_changes_nothing(model, *inputs, **arguments):
    before = tensors_of(model(*inputs, **arguments))
    assert max(output.std() for output in before) > 1e-3  # not all the same anyway
    total = count_norms(model)
    fusion = fuse_conv_bn(model)
    for old, new in zip(before, tensors_of(model(*inputs, **arguments)), strict=True):
        torch.testing.assert_close(new, old, rtol=1e-3, atol=1e-4 * old.abs().max().item())
    assert count_norms(model) == len(fusion.kept) == total - fusion.fused
    return fusion


@pytest.mark.parametrize('name', STOCK)
def test_stock_networks_lose_every_batch_norm_and_give_the_same(name):
    fusion = assert_fusion_changes_nothing(build(STOCK[name]), torch.randn(2, 3, 64, 64))
    assert fusion.fused > 10
    assert fusion.kept == {}


def test_our_detector_loses_every_batch_norm_and_gives_the_same():
    model = trained(MODELS.build(Config.fromfile(config_path('ext/psd_yolo.py')).model))
    fusion = assert_fusion_changes_nothing(model, torch.randn(1, 3, 128, 128), mode='tensor')
    assert fusion.fused > 50
    assert str(fusion) == f'{fusion.fused} of {fusion.fused} batch norms fused into convolutions'


def test_convolutions_shared_between_levels_are_where_the_stock_function_goes_wrong():
    images = torch.randn(1, 3, 64, 64)
    model = build(STOCK['RTMDet'])
    with torch.no_grad():
        before = tensors_of(model(images))
        after = tensors_of(mmcv_fuse_conv_bn(model)(images))
    assert max((a - b).abs().max() for a, b in zip(after, before, strict=True)) > 0.1


@pytest.mark.parametrize(
    ('layers', 'fused'),
    [
        ((nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), 1),
        ((nn.Conv2d(3, 4, 3, groups=1, dilation=2, bias=False), nn.BatchNorm2d(4)), 1),
        ((nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(4)), 0),
        ((nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 4, 3), nn.BatchNorm2d(4)), 0),
        ((nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)), 0),
    ],
)
def test_only_what_directly_follows_a_convolution_is_folded(layers, fused):
    model = trained(nn.Sequential(*layers))
    fusion = assert_fusion_changes_nothing(model, torch.randn(2, 3, 8, 8))
    assert fusion.fused == fused
    if not fused:
        assert '0 of 1 batch norms fused' in str(fusion)
        assert 'kept: 1 without a convolution right before' in str(fusion)


@pytest.mark.parametrize('order', [('norm', 'conv', 'act'), ('conv', 'act', 'norm')])
def test_conv_modules_of_another_order_are_kept(order):
    model = trained(ConvModule(4, 4, 3, norm_cfg=dict(type='BN'), order=order))
    assert assert_fusion_changes_nothing(model, torch.randn(2, 4, 8, 8)).fused == 0


class ActivatedBatchNorm(nn.BatchNorm2d):
    """As timm's: more than a batch norm."""

    def forward(self, input):
        return super().forward(input).relu()


@pytest.mark.parametrize(
    'layers',
    [
        (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False, affine=True)),
        (nn.Conv2d(3, 4, 3), ActivatedBatchNorm(4)),
        (nn.utils.spectral_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4)),
        (build_conv_layer(dict(type='ConvWS'), 3, 4, 3), nn.BatchNorm2d(4)),
    ],
    ids=['no running statistics', 'activation inside', 'spectral norm', 'weight standardisation'],
)
def test_what_cannot_be_folded_exactly_is_kept_and_said(layers):
    model = nn.Sequential(*layers)
    if layers[1].running_mean is not None:
        trained(model)
    fusion = assert_fusion_changes_nothing(model.eval(), torch.randn(2, 3, 8, 8))
    assert fusion.fused == 0
    assert 'kept: 1 that cannot be folded' in str(fusion)


def test_a_batch_norm_without_scale_is_folded():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False)).eval()
    model[1].running_var.fill_(3)
    assert assert_fusion_changes_nothing(model, torch.randn(2, 3, 8, 8)).fused == 1


def test_modules_that_evaluate_both_at_once_are_folded():
    module = ConvModule(3, 4, 3, norm_cfg=dict(type='BN'), efficient_conv_bn_eval=True)
    assert assert_fusion_changes_nothing(trained(module), torch.randn(2, 3, 8, 8)).fused == 1


def make_runner(model):
    return SimpleNamespace(model=model, logger=logging.getLogger('fusion'))


def test_a_test_runs_a_fused_copy_and_says_how_many(caplog):
    model = trained(ConvModule(3, 4, 3, norm_cfg=dict(type='BN')))
    runner = make_runner(model)
    with caplog.at_level('INFO'):
        FuseConvBNHook().before_test_epoch(runner)
    assert caplog.messages == ['1 of 1 batch norms fused into convolutions']
    assert (count_norms(model), count_norms(runner.model)) == (1, 0)


def test_the_moving_average_of_the_weights_is_what_is_fused_and_the_model_gets_its_own_back():
    model, images = (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval(),
        torch.ones(1, 3, 8, 8),
    )
    runner, average = make_runner(model), EMAHook()
    own = model(images)
    average.before_run(runner)
    nn.init.constant_(average.ema_model.module[0].weight, 0.1)
    average.before_test_epoch(runner)
    averaged = model(images)
    FuseConvBNHook().before_test_epoch(runner)
    torch.testing.assert_close(runner.model(images), averaged)
    average.after_test_epoch(runner)
    assert torch.equal(model(images), own)
    assert not torch.allclose(own, averaged)
