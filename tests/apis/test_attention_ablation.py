"""The attention ablation: equal budgets, nothing trained twice, an honest table."""

import io
import json

import pytest
from rich.console import Console

from mmdet_ext.apis import attention_ablation, equal_trainings
from mmdet_ext.apis.attention_ablation import Variant, ablate_attention, ablation_table
from mmdet_ext.apis.run import load_config

METRICS = {'slot/f1': 0.9, 'slot/ap': 0.8, 'point/f1': 0.7, 'slot/f1@night': 0.1}


@pytest.fixture
def trainings(monkeypatch):
    """Stands in for training: the calls."""
    calls = []

    def train(config, **kwargs):
        calls.append((config, kwargs))

    def evaluate(config, checkpoint, **kwargs):
        assert (config, kwargs['cfg_options']) == (calls[-1][0], calls[-1][1]['cfg_options'])
        return METRICS

    monkeypatch.setattr(equal_trainings, 'train', train)
    monkeypatch.setattr(equal_trainings, 'evaluate', evaluate)
    monkeypatch.setattr(equal_trainings, 'find_latest_checkpoint', lambda folder: 'last.pth')
    monkeypatch.setattr(attention_ablation, 'median_seconds', lambda call, repeats: 0.025)
    return calls


def printed(results):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(ablation_table(results))
    return console.export_text()


def test_all_variants_are_trained_with_the_same_budget_and_differ_in_the_layer_alone(
    trainings, tmp_path
):
    ablate_attention(tmp_path, ['none', 'SE', 'StripPooling'], seeds=[3, 4], epochs=5, images=40)
    assert len(trainings) == 6
    layers, rest = [], []
    for config, kwargs in trainings:
        assert kwargs['resume'] == 'auto'
        cfg = load_config(config, kwargs['cfg_options']).to_dict()
        neck = cfg['model'].pop('neck')
        layers.append(neck[0]['attention'] if isinstance(neck, list) else None)
        rest.append((cfg, neck[1] if isinstance(neck, list) else neck))
    assert layers == [None, dict(type='SqueezeExcitation'), dict(type='StripPooling')] * 2
    for (cfg, neck), seed in zip(rest, (3, 3, 3, 4, 4, 4), strict=True):
        assert cfg['randomness']['seed'] == seed
        assert cfg['train_cfg']['max_epochs'] == cfg['param_scheduler'][1]['T_max'] == 5
        assert cfg['train_dataloader']['dataset']['indices'] == 40
        # `attention` and `aggregation` are variables of the config that has the layer.
        for key in ('randomness', 'attention', 'aggregation', 'work_dir'):
            cfg.pop(key, None)
        assert (cfg, neck) == rest[0]


def test_what_has_been_trained_is_not_trained_again(trainings, tmp_path):
    first = ablate_attention(tmp_path, ['none', 'SE'], epochs=5)
    again = ablate_attention(tmp_path, ['none', 'SE'], seeds=[0, 1], epochs=5)
    assert len(trainings) == 4
    assert first['SE'].f1 == [0.9]
    assert again['SE'].f1 == [0.9, 0.9]
    assert json.loads((tmp_path / 'results.json').read_text())['SE'] == vars(again['SE'])
    assert (tmp_path / 'results.png').read_bytes().startswith(b'\x89PNG')


def test_results_of_another_budget_are_refused(trainings, tmp_path):
    ablate_attention(tmp_path, ['none'], epochs=5)
    with pytest.raises(ValueError, match='none_seed0 holds a training with another budget'):
        ablate_attention(tmp_path, ['none'], epochs=6)


def test_an_unknown_variant_is_named(trainings, tmp_path):
    with pytest.raises(
        ValueError, match=r"Unknown variant 'coordnate' \(did you mean Coordinate\?\)"
    ):
        ablate_attention(tmp_path, ['coordnate'])
    assert not trainings


def test_squeeze_and_excitation_adds_the_weights_of_its_layers(trainings, tmp_path):
    results = ablate_attention(tmp_path, ['none', 'SE', 'SimAM'])
    expected = sum(c * (c // 16) * 2 + c // 16 + c for c in (64, 128, 256))
    assert results['SE'].parameters - results['none'].parameters == expected
    assert results['SimAM'].parameters == results['none'].parameters
    assert results['SE'].milliseconds == 25


def variant(layer, f1):
    metrics = {'slot/f1': f1, 'slot/ap': [0.5] * len(f1), 'point/f1': [0.25] * len(f1)}
    return Variant(layer, parameters=1234567, milliseconds=12.34, metrics=metrics)


def test_the_table_gives_means_changes_and_what_seeds_alone_do():
    plain, se = variant(None, [0.90, 0.94]), variant('SqueezeExcitation', [0.93, 0.94])
    text = printed({'none': plain, 'SE': se})
    rows = [line.replace('│', ' ').split() for line in text.splitlines() if '1,234,567' in line]
    assert rows == [
        ['none', '0.9200', '-', '0.5000', '0.2500', '1,234,567', '12.3'],
        ['SE', '0.9350', '+0.0150', '0.5000', '0.2500', '1,234,567', '12.3'],
    ]
    assert '2 seeds; between seeds alone slot F1 moves by up to 0.0400.' in text


def test_one_seed_proves_nothing_and_the_table_says_so():
    text = printed({'none': variant(None, [0.9]), 'SE': variant('SqueezeExcitation', [0.93])})
    assert 'One seed: how much of a change is chance is unknown.' in text
