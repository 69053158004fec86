"""FeatureAttention: attention on chosen maps of any detector."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmdet_ext.models.layers import attention as layers
from mmdet_ext.models.necks import FeatureAttention

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / 'configs/ext/psd_yolo_attention.py'
LAYERS = sorted(name for name in layers.__all__ if name != 'AttentionLayer')

# For maps of 8 x 8 with 64 channels: the first level at 64 x 64 pixels.
SIZE = 64
ARGUMENTS = {
    'FrequencyChannelAttention': dict(frequencies=8),
    'RelationAwareChannelAttention': dict(spatial_size=(8, 8)),
    'RelationAwareSpatialAttention': dict(spatial_size=(8, 8)),
}


def maps(*channels):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, c, 8 >> i, 8 >> i, generator=generator) for i, c in enumerate(channels)]


def test_each_level_gets_a_layer_of_its_own_channels():
    torch.manual_seed(0)
    neck = FeatureAttention([16, 32], dict(type='SqueezeExcitation', reduction=4))
    inputs = maps(16, 32)
    outputs = neck(inputs)
    assert isinstance(outputs, tuple)
    for layer, x, y in zip(neck.layers, inputs, outputs, strict=True):
        torch.testing.assert_close(y, layer(x))
        assert not torch.allclose(y, x)


def test_levels_that_are_not_chosen_pass_through():
    neck = FeatureAttention([16, 32, 64], dict(type='SqueezeExcitation'), levels=[1])
    inputs = maps(16, 32, 64)
    first, second, third = neck(inputs)
    assert first is inputs[0]
    assert third is inputs[2]
    assert not torch.allclose(second, inputs[1])
    assert {name.split('.')[1] for name in neck.state_dict()} == {'1'}


def test_layers_of_mmcv_fit_too():
    neck = FeatureAttention([16], dict(type='ContextBlock', ratio=1 / 4))
    assert neck(maps(16))[0].shape == (2, 16, 8, 8)


def test_it_follows_the_neck_of_a_stock_detector_whose_backbone_takes_no_plugins():
    init_default_scope('mmdet')
    cfg = get_config('mmdet::retinanet/retinanet_r18_fpn_1x_coco.py').model
    cfg.backbone.init_cfg = None
    attention = dict(type='SimpleParameterFreeAttention')
    follower = dict(type='FeatureAttention', in_channels=[256] * 5, attention=attention, levels=[1])
    cfg.neck = [cfg.neck, follower]
    model = MODELS.build(cfg).eval()
    image = torch.randn(1, 3, 64, 64)
    expected = list(model.neck[0](model.backbone(image)))
    expected[1] = model.neck[1].layers[1](expected[1])
    assert len(expected) == 5
    for found, wanted in zip(model.extract_feat(image), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_a_level_that_there_is_not_is_named():
    with pytest.raises(ValueError, match='levels has 2, but in_channels has 2 entries: choose'):
        FeatureAttention([16, 32], dict(type='SqueezeExcitation'), levels=[0, 2])


def test_another_number_of_maps_is_named():
    neck = FeatureAttention([16, 32], dict(type='SqueezeExcitation'))
    with pytest.raises(ValueError, match='in_channels of 2 maps, but got 3: give in_channels one'):
        neck(maps(16, 32, 64))


def test_other_channels_are_named():
    neck = FeatureAttention([16, 32], dict(type='SqueezeExcitation'))
    with pytest.raises(ValueError, match=r'SqueezeExcitation was built for maps \(B, 32, H, W\)'):
        neck(maps(16, 64))


def sample():
    slots = torch.tensor([[[12.0, 40], [40, 40], [40, 10], [12, 10]]])
    sample = DetDataSample()
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[12.0, 10, 40, 40]]),
        labels=torch.tensor([0]),
        corners=slots,
        occupied=torch.tensor([1]),
    )
    sample.gt_marking_points = InstanceData(
        points=slots[0, :2],
        directions=torch.tensor([[0.0, -1], [0, -1]]),
        has_direction=torch.ones(2, dtype=torch.bool),
        shapes=torch.tensor([0, 0]),
    )
    kinds = ('marking_points', 'directions', 'shapes', 'slots', 'occupancy')
    size = dict(img_shape=(SIZE, SIZE), ori_shape=(SIZE, SIZE))
    sample.set_metainfo(dict(label_kinds=kinds, homography_matrix=np.eye(3), **size))
    return sample


@pytest.mark.parametrize('name', LAYERS)
def test_the_parking_slot_detector_learns_with_each_layer(name):
    init_default_scope('mmdet')
    cfg = Config.fromfile(CONFIG)
    levels = [0] if name in ARGUMENTS else None  # the others are smaller
    cfg.model.neck[0].update(attention=dict(type=name, **ARGUMENTS.get(name, {})), levels=levels)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    before = {key: value.clone() for key, value in model.neck[0].named_parameters()}
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(256, (3, SIZE, SIZE), generator=generator) for _ in range(2)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(2):
        data = model.data_preprocessor(
            dict(inputs=images, data_samples=[sample(), sample()]), training=True
        )
        loss, _ = model.parse_losses(model(**data, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]
    after = dict(model.neck[0].named_parameters())
    changed = [key for key, value in before.items() if not after[key].equal(value)]
    assert bool(changed) == bool(before)
