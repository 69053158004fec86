"""Group normalisation with 16 channels a group."""

import numpy as np
import pytest
import torch
from layer_checks import assert_same
from mmcv.cnn import ConvModule, build_norm_layer
from mmdet.models.backbones import ResNet
from mmengine.registry import DefaultScope

from mmdet_ext.models.layers import GroupNorm16


@pytest.fixture(autouse=True)
def mmdet_scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def test_each_group_of_16_channels_has_mean_0_and_variance_1_before_scale_and_shift():
    layer, x = GroupNorm16(48), torch.randn(2, 48, 3, 5)
    torch.nn.init.uniform_(layer.weight)
    torch.nn.init.uniform_(layer.bias)
    groups = x.numpy().astype(np.float64).reshape(2, 3, 16 * 15)
    mean, variance = groups.mean(-1, keepdims=True), groups.var(-1, keepdims=True)
    expected = ((groups - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape)
    weight, bias = (p.detach().numpy()[:, None, None] for p in (layer.weight, layer.bias))
    assert_same(layer(x), expected * weight + bias)


def test_a_norm_cfg_builds_it():
    name, layer = build_norm_layer(dict(type='GroupNorm16', requires_grad=False), 64, postfix=1)
    assert (name, layer.num_groups, layer.num_channels) == ('gn1', 4, 64)
    assert not layer.weight.requires_grad
    assert ConvModule(3, 32, 3, norm_cfg=dict(type='GroupNorm16')).norm.num_groups == 2


def test_a_resnet_takes_it_in_every_layer():
    backbone = ResNet(
        50,
        base_channels=16,
        stem_channels=16,
        norm_cfg=dict(type='GroupNorm16'),
        norm_eval=False,
        init_cfg=[dict(type='Constant', val=0.5, layer='GroupNorm')],
    )
    backbone.init_weights()
    norms = [m for m in backbone.modules() if isinstance(m, GroupNorm16)]
    assert len(norms) == 53
    assert {norm.num_channels // norm.num_groups for norm in norms} == {16}
    assert norms[0].weight.unique().item() == 0.5
    assert backbone(torch.randn(1, 3, 32, 32))[-1].shape == (1, 512, 1, 1)


@pytest.mark.parametrize('channels', [0, 8, 40])
def test_channels_that_16_does_not_divide_are_refused(channels):
    with pytest.raises(ValueError, match=f'GroupNorm16 got {channels} channels.*multiple of 16'):
        GroupNorm16(channels)
