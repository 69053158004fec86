"""The comparison of optimizers and schedules: equal budgets, fair rates, an honest table."""

import functools
import io
import json
import math
from copy import deepcopy

import pytest
from rich.console import Console

from mmdet_ext.apis import equal_trainings, optimizer_comparison
from mmdet_ext.apis.optimizer_comparison import (
    OptimizerComparison,
    Trial,
    compare_optimizers,
    comparison_tables,
    plot_comparison,
)
from mmdet_ext.apis.run import load_config


@functools.cache
def config_file(path):
    return load_config(path)


@pytest.fixture
def trainings(monkeypatch):
    """Stands in for training: configs by folder. SGD is best at a high rate, others at the middle."""
    configs = {}

    def run(config, work_dir, resume, cfg_options):
        assert resume == 'auto'
        cfg = deepcopy(config_file(config))
        cfg.merge_from_dict(dict(cfg_options))
        configs[work_dir.rpartition('/')[2]] = cfg.to_dict()

    def evaluate(config, checkpoint, work_dir, cfg_options):
        cfg = configs[work_dir.rpartition('/')[2]]
        optimizer = cfg['optim_wrapper']['optimizer']
        best = 0.3 if optimizer['type'] == 'SGD' else 5e-3
        value = 0.9 - abs(math.log(optimizer['lr'] / best)) / 10
        return {'slot/f1': value - 0.1, 'slot/ap': value, 'point/ap': value + 0.05}

    monkeypatch.setattr(optimizer_comparison, 'load_config', config_file)
    monkeypatch.setattr(equal_trainings, 'train', run)
    monkeypatch.setattr(equal_trainings, 'evaluate', evaluate)
    monkeypatch.setattr(equal_trainings, 'find_latest_checkpoint', lambda folder: 'last.pth')
    return configs


def test_trainings_differ_in_the_optimizer_alone_or_in_the_schedule_alone(trainings, tmp_path):
    compare_optimizers(tmp_path, ['SGD', 'AdamW'], ['cosine', 'plateau'], [1, 2], 5, 40, 96)
    assert len(trainings) == 2 * (2 * 3 + 1)  # AdamW's cosine is not trained again
    plain = deepcopy(trainings['AdamW_0.005_cosine_seed1'])
    assert plain['train_cfg']['max_epochs'] == 5
    assert plain['train_dataloader']['dataset']['indices'] == 40
    for loader in ('train', 'val', 'test'):
        (warp,) = [
            step
            for step in plain[f'{loader}_dataloader']['dataset']['pipeline']
            if step['type'] == 'ParkingSlotAffine'
        ]
        assert tuple(warp['size']) == (96, 96)
    for name, cfg in trainings.items():
        assert cfg['randomness'].pop('seed') == int(name[-1])
        expected = deepcopy(plain)
        del expected['randomness']['seed']
        if name.startswith('SGD'):
            assert cfg['optim_wrapper']['optimizer'].keys() == {'type', 'lr', 'weight_decay'}
        if 'plateau' in name:
            assert cfg['train_cfg']['val_interval'] == 1
            assert cfg['param_scheduler'][1]['type'] == 'ReduceOnPlateauLR'
            expected['train_cfg'] = cfg['train_cfg']
            expected['param_scheduler'] = cfg['param_scheduler']
        expected['optim_wrapper']['optimizer'] = cfg['optim_wrapper']['optimizer']
        assert cfg == expected


def test_a_rate_that_is_too_high_does_not_end_the_comparison(trainings, tmp_path):
    compare_optimizers(tmp_path, ['Adam'])
    for cfg in trainings.values():
        hooks = {hook['type'] for hook in cfg['custom_hooks']}
        assert 'NonFiniteGuardHook' not in hooks
        assert 'ChannelsLastHook' in hooks


def test_each_optimizer_stands_at_its_best_rate_and_schedules_take_that_of_adamw(
    trainings, tmp_path
):
    result = compare_optimizers(tmp_path, ['SGD', 'AdamW'], ['step'])
    assert [trial.rate for trial in result.optimizers['SGD']] == pytest.approx([0.1 / 3, 0.1, 0.3])
    assert result.best('SGD').rate == pytest.approx(0.3)
    assert result.best('SGD').metrics['slot AP'] == [pytest.approx(0.9)]
    assert result.best('AdamW').rate == 5e-3
    assert result.schedules['step'].rate == 5e-3
    written = json.loads((tmp_path / 'results.json').read_text())
    assert written['schedules']['step']['metrics'] == result.schedules['step'].metrics
    assert (tmp_path / 'results.png').read_bytes().startswith(b'\x89PNG')


def test_without_adamw_no_schedules_are_compared(trainings, tmp_path):
    result = compare_optimizers(tmp_path, ['NAdam'])
    assert result.schedules == {}
    assert len(trainings) == 3


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(optimizers=['AdmW']), r"Unknown optimizer 'AdmW' \(did you mean .*AdamW"),
        (dict(schedules=['cosin']), r"Unknown schedule 'cosin' \(did you mean cosine"),
        (dict(optimizers=['SGD'], schedules=['step']), 'add it to the optimizers'),
        (dict(size=100), 'The size is 100 pixels; give a multiple of 32'),
    ],
)
def test_what_does_not_fit_is_named(trainings, tmp_path, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        compare_optimizers(tmp_path, **options)
    assert not trainings


def comparison():
    def trial(rate, *aps):
        metrics = {'slot F1': [0.2] * len(aps), 'slot AP': list(aps), 'point AP': [0.5] * len(aps)}
        return Trial(rate, metrics)

    return OptimizerComparison(
        {
            'SGD': [trial(0.1, 0.1, 0.1), trial(0.3, 0.3, 0.5), trial(0.9, math.nan, math.nan)],
            'AdamW': [trial(0.001, 0.6, 0.6), trial(0.003, 0.5, 0.5), trial(0.009, 0.4, 0.4)],
        },
        {'cosine': trial(0.001, 0.6, 0.6), 'plateau': trial(0.001, 0.4, 0.5)},
    )


def test_the_tables_have_the_best_of_each_all_rates_and_what_seeds_alone_do():
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(comparison_tables(comparison()))
    text = console.export_text()
    rows = [line.replace('│', ' ').split() for line in text.splitlines() if '│' in line]
    assert rows == [
        ['SGD', '0.3', '0.100,', '0.400,', '0.000', '0.200', '0.400', '0.500'],
        ['AdamW', '0.001', '0.600,', '0.500,', '0.400', '0.200', '0.600', '0.500'],
        ['cosine', '0.200', '0.600', '0.500'],
        ['plateau', '0.200', '0.450', '0.500'],
    ]
    text = ' '.join(text.split())
    assert '2 seeds; between seeds alone slot AP moves by up to 0.2000.' in text
    assert '2 seeds; between seeds alone slot AP moves by up to 0.1000.' in text


def test_the_plot_has_a_line_per_optimizer_and_a_bar_per_schedule():
    rates, bars = plot_comparison(comparison()).axes
    assert {line.get_label(): line.get_xdata().tolist() for line in rates.lines} == {
        'SGD': [0.1, 0.3, 0.9],
        'AdamW': [0.001, 0.003, 0.009],
    }
    assert [bar.get_width() for bar in bars.patches] == pytest.approx([0.6, 0.45])
    assert [label.get_text() for label in bars.get_yticklabels()] == ['cosine', 'plateau']
