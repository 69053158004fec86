"""The optimizers and schedules of the comparison, in trainings of a few weights."""

import math

import pytest
from mmengine.hooks import Hook
from tiny_training import Scores, fresh_globals, train, weights  # noqa: F401 (a fixture)

from mmdet_ext.apis.optimizer_comparison import OPTIMIZERS, schedule_of


def rates_of(name, tmp_path, epochs=10):
    """Learning rates of the iterations of a training with a schedule; an epoch has four."""
    seen = []

    class Watch(Hook):
        def before_train_iter(self, runner, *args, **kwargs):
            seen.append(runner.optim_wrapper.get_lr()['lr'][0])

    train(
        tmp_path,
        [Watch()],
        epochs=epochs,
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)),
        param_scheduler=schedule_of(name, epochs, 4),
    )
    assert len(seen) == 4 * epochs
    return seen


def test_cosine_warms_up_for_a_tenth_and_ends_near_zero(tmp_path):
    rates = rates_of('cosine', tmp_path)
    assert rates[0] == pytest.approx(0.1 * 0.01)
    assert rates[20] == pytest.approx(0.05, rel=0.05)
    assert rates[-1] < 0.1 * 0.01
    assert max(rates) == max(rates[:6])


def test_step_falls_twice_to_a_tenth(tmp_path):
    rates = rates_of('step', tmp_path)
    assert [round(rates[4 * epoch], 6) for epoch in (4, 6, 7, 8, 9)] == [
        0.1,
        0.1,
        0.01,
        0.01,
        0.001,
    ]


def test_one_cycle_reaches_the_highest_rate_after_three_tenths(tmp_path):
    rates = rates_of('one-cycle', tmp_path)
    assert max(rates) == pytest.approx(0.1)
    assert abs(rates.index(max(rates)) - 0.3 * 40) <= 1
    assert rates[0] == pytest.approx(0.1 / 25)
    assert rates[26] == pytest.approx(0.05)
    assert rates[-1] < 1e-3


def test_constant_stays(tmp_path):
    assert rates_of('constant', tmp_path)[5:] == pytest.approx([0.1] * 35)


def test_every_optimizer_makes_steps(tmp_path):
    found = {}
    for name, optimizer in OPTIMIZERS.items():
        folder = tmp_path / name
        folder.mkdir()
        wrapper = dict(type='OptimWrapper', optimizer=dict(optimizer))
        found[name] = weights(
            train(folder, optim_wrapper=wrapper, default_scope='mmdet').model
        ).tolist()
    assert len({tuple(values) for values in found.values()}) == len(OPTIMIZERS)
    assert all(math.isfinite(value) for values in found.values() for value in values)


def test_plateau_falls_when_the_slot_ap_gets_no_better(tmp_path):
    found = [0.1, 0.2, 0.3, 0.3, 0.4, 0.5]
    watched = []

    class Watch(Hook):
        def after_train_epoch(self, runner):
            watched.append(runner.optim_wrapper.get_lr()['lr'][0])

    train(
        tmp_path,
        [Watch()],
        epochs=6,
        scores=Scores(found, 'ap'),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)),
        param_scheduler=schedule_of('plateau', 6, 4),
    )
    assert watched == pytest.approx([0.1] * 4 + [0.03] * 2)
