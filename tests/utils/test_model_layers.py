"""Layers of backbones from the image to the head, whatever they are called."""

import pytest
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from torch import nn

from mmdet_ext.utils.model_layers import backbone_layers, model_parts

LAYERS = {
    'ResNet': (dict(type='ResNet', depth=18), ['stem', *(f'layer{i}' for i in range(1, 5))]),
    'CSPDarknet': (
        dict(type='CSPDarknet', widen_factor=0.125, deepen_factor=0.33),
        ['stem', *(f'stage{i}' for i in range(1, 5))],
    ),
    'CSPNeXt': (
        dict(type='CSPNeXt', widen_factor=0.125, deepen_factor=0.33),
        ['stem', *(f'stage{i}' for i in range(1, 5))],
    ),
    'SwinTransformer': (
        dict(type='SwinTransformer', embed_dims=12, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2)),
        ['stem', *(f'stages.{i}' for i in range(4))],
    ),
    'PlainViT': (
        dict(type='PlainViT', embed_dims=8, num_heads=2, depth=3),
        ['stem', *(f'blocks.{i}' for i in range(3))],
    ),
    'DMPRDarknet': (
        dict(type='DMPRDarknet', widen_factor=0.125),
        [f'stages.{i}' for i in range(5)],
    ),
    'resnet18': (
        dict(type='TorchvisionBackbone', model='resnet18'),
        ['stem', *(f'body.layer{i}' for i in range(1, 5))],
    ),
    'shufflenet': (
        dict(type='TorchvisionBackbone', model='shufflenet_v2_x0_5'),
        ['stem', *(f'body.stage{i}' for i in range(2, 5))],
    ),
    'googlenet': (
        dict(type='TorchvisionBackbone', model='googlenet'),
        [
            'stem',
            *(f'body.inception{n}' for n in ['3a', '3b', '4a', '4b', '4c', '4d', '4e', '5a', '5b']),
        ],
    ),
}


@pytest.mark.parametrize('name', LAYERS)
def test_a_backbone_has_its_stem_and_stages_with_each_parameter_in_one(name):
    init_default_scope('mmdet')
    cfg, expected = LAYERS[name]
    backbone = MODELS.build(cfg)
    layers = backbone_layers(backbone)
    assert [layer.name.removeprefix('backbone.') for layer in layers] == expected
    listed = [name for layer in layers for name in layer.parameters]
    assert sorted(listed) == sorted(f'backbone.{name}' for name, _ in backbone.named_parameters())


def test_what_leads_to_a_stage_what_follows_and_what_is_numbered_alike_go_with_it():
    backbone = nn.Module()
    backbone.conv1 = nn.Linear(1, 1)
    for name in ('layer1', 'transition', 'layer2', 'layer3', 'norm1', 'norm2', 'norm3', 'last'):
        backbone.add_module(name, nn.Linear(1, 1, bias=False))
    layers = {layer.name: layer.parameters for layer in backbone_layers(backbone, 'net')}
    assert {name: [p.split('.')[1] for p in parameters] for name, parameters in layers.items()} == {
        'net.stem': ['conv1', 'conv1'],
        'net.layer1': ['layer1', 'norm1'],
        'net.layer2': ['transition', 'layer2', 'norm2'],
        'net.layer3': ['layer3', 'norm3', 'last'],
    }


def test_a_backbone_without_stages_is_told_in_one_sentence():
    with pytest.raises(ValueError, match=r'`backbone` .Linear. has no numbered stages or blocks'):
        backbone_layers(nn.Linear(2, 2))


def test_the_head_is_last_wherever_it_was_built():
    model = nn.Module()
    model.bbox_head, model.decoder = nn.Linear(1, 1), nn.Linear(1, 1)
    model.backbone = nn.Linear(1, 1)
    model.scale = nn.Parameter(model.backbone.weight.detach()[0])
    parts = model_parts(model)
    assert [part.name for part in parts] == ['backbone', 'decoder', 'bbox_head']
    assert parts[-1].parameters == ('bbox_head.weight', 'bbox_head.bias', 'scale')
