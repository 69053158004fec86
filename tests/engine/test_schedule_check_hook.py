"""The check of schedules against the training, and schedules that reduce on a plateau."""

import pytest
from mmengine.hooks import Hook
from tiny_training import forget_globals, fresh_globals, messages, train  # noqa: F401

from mmdet_ext.engine.hooks.safe_checkpoint_hook import SafeCheckpointHook
from mmdet_ext.engine.hooks.schedule_check_hook import ScheduleCheckHook

CHECKPOINTS = dict(default_hooks=dict(checkpoint=dict(type=SafeCheckpointHook, interval=1)))


def warnings_of(tmp_path, *schedules, epochs=2):
    with messages() as said:
        train(tmp_path, [ScheduleCheckHook()], epochs=epochs, param_scheduler=list(schedules))
    return [text for text in said if 'the end of the schedule never comes' in text]


def plateau(**options):
    return [dict(type='ReduceOnPlateauLR', **options)]


@pytest.mark.parametrize(
    ('schedule', 'expected'),
    [
        (
            dict(type='CosineAnnealingLR', T_max=3, begin=0, end=2),
            '(CosineAnnealingLR) runs to epoch 3 (its `begin + T_max`), but training ends after epoch 2',
        ),
        (
            dict(type='LinearLR', by_epoch=False, begin=0, end=100),
            '(LinearLR) runs to iteration 100 (its `end`), but training ends after iteration 8',
        ),
        (
            dict(type='PolyLR', begin=1, end=3, convert_to_iter_based=True),
            '(PolyLR) runs to iteration 12 (its `end`), but training ends after iteration 8',
        ),
    ],
)
def test_a_schedule_longer_than_training_is_one_warning_that_names_both(
    tmp_path, schedule, expected
):
    (warning,) = warnings_of(tmp_path, dict(type='ConstantLR', begin=0, end=1), schedule)
    assert warning.startswith('param_scheduler[1] ' + expected)


def test_schedules_as_long_as_training_are_not(tmp_path):
    schedules = [
        dict(type='LinearLR', by_epoch=False, begin=0, end=4),
        dict(type='CosineAnnealingLR', T_max=1, begin=1, end=2, convert_to_iter_based=True),
        dict(type='MultiStepLR', milestones=[1]),  # its end is the end of time
    ]
    assert not warnings_of(tmp_path, *schedules)


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, 'waits for loss, which no validation gives: set its `monitor` to a metric'),
        (dict(monitor='slot/f1'), r"with rule='less', so that it reduces .*: set rule='greater'"),
    ],
)
def test_the_traps_of_the_stock_defaults_are_errors_before_training(tmp_path, options, expected):
    class NoIteration(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            raise AssertionError

    hooks = [ScheduleCheckHook(), NoIteration()]
    with pytest.raises(ValueError, match=expected):
        train(tmp_path, hooks, scores=[0.5], param_scheduler=plateau(**options))


def test_a_plateau_without_validation_is_an_error(tmp_path):
    schedule = plateau(monitor='slot/f1', rule='greater')
    with pytest.raises(ValueError, match='waits for slot/f1, which no validation gives'):
        train(tmp_path, [ScheduleCheckHook()], param_scheduler=schedule)


def test_a_metric_that_is_not_there_gets_near_matches_and_no_epoch_is_lost(tmp_path):
    schedule = plateau(monitor='slot/f2', rule='greater')
    with pytest.raises(ValueError, match=r'slot/f2, .* does not give \(did you mean slot/f1\?\)'):
        train(
            tmp_path,
            [ScheduleCheckHook()],
            epochs=2,
            scores=[0.5],
            param_scheduler=schedule,
            checkpoints=True,
            **CHECKPOINTS,
        )
    patch = forget_globals()
    schedule = plateau(monitor='slot/f1', rule='greater')
    resumed = train(
        tmp_path,
        [ScheduleCheckHook()],
        epochs=2,
        scores=[0.5, 0.6],  # of the first epoch, which was saved before it was validated, too
        param_scheduler=schedule,
        checkpoints=True,
        resume=True,
        **CHECKPOINTS,
    )
    patch.undo()
    assert resumed.epoch == 2


class Rates(Hook):
    """The learning rate of each epoch."""

    def __init__(self):
        self.rates = []

    def before_train_epoch(self, runner):
        self.rates.append(round(runner.optim_wrapper.get_lr()['lr'][0], 6))


class StopAfter(Hook):
    """Stops training after so many epochs."""

    def __init__(self, epochs):
        self.epochs = epochs

    def after_train_epoch(self, runner):
        runner.train_loop.stop_training = runner.epoch + 1 == self.epochs


def test_the_rate_falls_on_a_plateau_and_a_resumed_run_remembers_the_epochs_without_gain(tmp_path):
    scores = [0.5, 0.6, 0.6, 0.6, 0.6, 0.6]
    whole = Rates()
    options = dict(monitor='slot/f1', rule='greater', factor=0.1, patience=1)
    run = dict(checkpoints=True, **CHECKPOINTS)
    train(
        tmp_path / 'a', [whole], epochs=6, scores=scores, param_scheduler=plateau(**options), **run
    )
    assert whole.rates == [0.1, 0.1, 0.1, 0.1, 0.01, 0.01]

    patch = forget_globals()
    before, after = Rates(), Rates()
    schedule = plateau(**options)
    hooks = [before, StopAfter(3)]
    train(tmp_path / 'b', hooks, epochs=6, scores=scores[:3], param_scheduler=schedule, **run)
    patch.undo()
    patch = forget_globals()
    schedule = plateau(**options)
    train(
        tmp_path / 'b',
        [ScheduleCheckHook(), after],
        epochs=6,
        scores=scores[3:],
        param_scheduler=schedule,
        resume=True,
        **run,
    )
    patch.undo()
    assert before.rates + after.rates == whole.rates
