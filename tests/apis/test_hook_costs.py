"""What hooks cost: slow ones are found."""

import time

import pytest
from mmdet.registry import HOOKS
from mmengine.hooks import Hook

from mmdet_ext.apis.hook_costs import HookCosts, costs_table, measure_hook_costs

OPTIONS = {'synthetic_data.splits': dict(train=40, val=1), 'train_cfg.val_begin': 9}


@HOOKS.register_module(force=True)
class SleepyHook(Hook):
    """Sleeps before and after."""

    def before_train_iter(self, *_, **__):
        time.sleep(0.02)

    def after_train_iter(self, *_, **__):
        time.sleep(0.01)


def test_a_slow_hook_is_found_and_others_cost_little(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hooks = {'custom_hooks': [dict(type='SleepyHook'), dict(type='SampleSeedHook')]}
    costs = measure_hook_costs('ext/psd_yolo_tiny.py', 4, OPTIONS | hooks)
    assert 0.03 <= costs.hooks['SleepyHook'] < 0.1
    assert costs.hooks['SampleSeedHook'] < 0.003
    assert costs.iteration > 0.03
    assert max(costs.hooks, key=costs.hooks.get) == 'SleepyHook'
    with pytest.raises(ValueError, match='has 10 iterations: give at most 5'):
        measure_hook_costs('ext/psd_yolo_tiny.py', 6, OPTIONS | hooks)


def test_the_table_has_the_dearest_first_and_the_sum():
    table = costs_table(HookCosts(0.2, {'A': 0.001, 'B': 0.003}))
    assert list(table.columns[0].cells) == ['B', 'A']
    assert list(table.columns[2].cells) == ['1.50%', '0.50%']
    assert table.caption == 'All: 2.00% of an iteration of 200 ms.'
