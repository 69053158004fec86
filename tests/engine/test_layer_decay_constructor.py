"""Learning rates by layer: values, and each parameter in one group."""

import pytest
import torch
from finetuning_runs import TinyDetector, train
from mmdet.registry import MODELS
from mmengine.logging import MessageHub, MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.visualization import Visualizer
from torch import nn

import mmdet_ext.engine.optimizers  # noqa: F401 (registers)
from mmdet_ext.engine.optimizers import layer_decay_constructor


@pytest.fixture(autouse=True)
def fresh_globals(monkeypatch):
    """Forget mmengine's process-wide instances, which a second run in one process would inherit."""
    for manager in (DefaultScope, MessageHub, MMLogger, Visualizer):
        monkeypatch.setattr(manager, '_instance_dict', type(manager._instance_dict)())
    init_default_scope('mmdet')


def config(optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.5), **paramwise):
    return dict(
        type='OptimWrapper',
        optimizer=optimizer,
        constructor='LayerDecayOptimWrapperConstructor',
        paramwise_cfg=paramwise,
    )


def settings(model, **options):
    """Learning rate and weight decay by name; each parameter is in one group."""
    optimizer = build_optim_wrapper(model, config(**options)).optimizer
    pairs = [(id(p), group) for group in optimizer.param_groups for p in group['params']]
    groups = dict(pairs)
    assert len(groups) == len(pairs) == len(list(model.parameters()))
    return {
        name: (groups[id(p)]['lr'], groups[id(p)]['weight_decay'])
        for name, p in model.named_parameters()
    }


def rates(model, **options):
    return {name: lr for name, (lr, _) in settings(model, **options).items()}


def test_each_layer_of_the_backbone_learns_at_half_the_rate_of_the_next():
    found = rates(TinyDetector(), layer_decay_rate=0.5)
    expected = {'stem': 1 / 8, 'stage1': 1 / 4, 'stage2': 1 / 2}
    for name, rate in found.items():
        parts = name.split('.')
        assert rate == (expected[parts[1]] if parts[0] == 'backbone' else 1)


def detector(**backbone):
    model = nn.Module()
    model.backbone = MODELS.build(backbone)
    model.bbox_head = nn.Conv2d(1, 1, 1)
    return model


@pytest.mark.parametrize(
    ('backbone', 'expected'),
    [
        (
            dict(type='PlainViT', embed_dims=8, num_heads=2, depth=3, class_token=True),
            {'pos_embed': 4, 'cls_token': 4, 'blocks.0.mlp.fc1.bias': 3, 'norm.weight': 1},
        ),
        (dict(type='ResNet', depth=18), {'conv1.weight': 5, 'layer4.1.bn2.bias': 1}),
        (
            dict(type='CSPDarknet', widen_factor=0.125, deepen_factor=0.33),
            {'stem.conv.conv.weight': 5, 'stage2.0.conv.weight': 3},
        ),
        (
            dict(type='TorchvisionBackbone', model='resnet18'),
            {'body.conv1.weight': 5, 'body.layer3.0.conv1.weight': 2},
        ),
    ],
)
def test_families_of_backbones_are_known(backbone, expected):
    found = rates(detector(**backbone), layer_decay_rate=0.5)
    assert {name: found[f'backbone.{name}'] for name in expected} == {
        name: 0.5**depth for name, depth in expected.items()
    }
    assert found['bbox_head.weight'] == 1


def test_parts_have_factors_of_their_own_and_the_last_pattern_counts():
    found = rates(TinyDetector(), lr_mult={'backbone': 0.1, 'neck': 0.5, 'backbone.stage2': 0.3})
    assert found['backbone.stem.0.weight'] == found['backbone.stage1.1.bias'] == 0.1
    assert found['backbone.stage2.0.weight'] == 0.3
    assert (found['neck.0.weight'], found['bbox_head.bias']) == (0.5, 1)


def test_factors_of_parts_and_of_layers_multiply():
    found = rates(TinyDetector(), lr_mult={'backbone': 0.1}, layer_decay_rate=0.5)
    assert found['backbone.stage2.0.weight'] == pytest.approx(0.05)


def test_norms_and_biases_need_not_decay():
    found = settings(TinyDetector(), norm_decay_mult=0, bias_decay_mult=0.5)
    decays = {name: found[f'neck.{name}'][1] for name in ('0.weight', '0.bias', '1.weight')}
    assert decays == {'0.weight': 0.5, '0.bias': 0.25, '1.weight': 0}
    assert found['neck.1.bias'][1] == 0
    found = settings(TinyDetector(), norm_decay_mult=0, decay_mult={'neck': 2})
    assert (found['neck.1.weight'][1], found['backbone.stem.1.weight'][1]) == (1, 0)


def test_what_the_model_froze_is_in_a_group_too():
    assert len(rates(TinyDetector(frozen_stages=1), layer_decay_rate=0.5)) == 18


def test_the_groups_are_logged_as_a_table(monkeypatch):
    said = []
    monkeypatch.setattr(layer_decay_constructor, 'print_log', lambda text, *_: said.append(text))
    settings(TinyDetector(), layer_decay_rate=0.5)
    (row,) = (line for line in said[0].splitlines() if 'neck, bbox_head' in line)
    assert [cell.strip() for cell in row.split('│')[2:-1]] == ['6', '26', '1', '0.5']


@pytest.mark.parametrize('kind', ['OptimWrapper', 'BFloat16OptimWrapper'])
def test_a_layer_moves_as_far_as_its_rate_says_with_the_fused_optimizer(tmp_path, kind):
    optimizer = dict(type='FusedAdamW', lr=1e-3, weight_decay=0)
    optim = config(optimizer=optimizer, layer_decay_rate=0.5) | dict(type=kind)
    _, seen = train(tmp_path, optim=optim, epochs=1)
    for part, rate in (('backbone.stage2.1', 0.5), ('backbone.stage1.1', 0.25), ('neck.1', 1)):
        name = f'{part}.bias'
        step = (seen.weights[1][name] - seen.weights[0][name]).abs()
        assert step.max().item() == pytest.approx(1e-3 * rate, rel=1e-2)  # Adam's first step


NO_DECAY = dict(type='SGD', lr=1.0)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(layer_decay=0.5), "has 'layer_decay' .did you mean layer_decay_rate"),
        (dict(layer_decay_rate=0), '`layer_decay_rate` is 0'),
        (dict(lr_mult={'bakbone': 0.1}), "`lr_mult` has 'bakbone'.*did you mean backbone"),
        (dict(optimizer=dict(type='SGD'), lr_mult={'neck': 1}), 'has no `lr`'),
        (dict(optimizer=NO_DECAY, norm_decay_mult=0), 'has no `weight_decay`'),
    ],
)
def test_mistakes_are_told_in_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        build_optim_wrapper(TinyDetector(), config(**options))


def test_a_model_without_a_backbone_or_with_one_of_unknown_depth_is_told():
    with pytest.raises(ValueError, match='Linear has no `backbone`'):
        build_optim_wrapper(nn.Linear(1, 1), config(layer_decay_rate=0.5))
    model = nn.Module()
    model.backbone = nn.Linear(1, 1)
    with pytest.raises(ValueError, match='no numbered stages'):
        build_optim_wrapper(model, config(layer_decay_rate=0.5))


def test_a_shared_parameter_is_in_one_group_and_without_decay_nothing_decays():
    model = TinyDetector()
    model.neck[0].weight = model.backbone.stage1[0].weight
    optimizer = build_optim_wrapper(model, config(NO_DECAY, layer_decay_rate=0.5)).optimizer
    listed = [id(p) for group in optimizer.param_groups for p in group['params']]
    assert len(listed) == len(set(listed)) == 17
    assert {group['weight_decay'] for group in optimizer.param_groups} == {0}
    assert isinstance(optimizer, torch.optim.SGD)
