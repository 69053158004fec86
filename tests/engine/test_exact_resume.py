"""A training that was interrupted goes on as if it had not been."""

import multiprocessing
import os
import random
import signal
import time

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from toy_training import toy_runner

from mmdet_ext.apis.crash_test import COMPARED, crash_test, first_difference
from mmdet_ext.engine.random_state import capture_random_state, restore_random_state
from mmdet_ext.utils.compat import load_weights_only

STOCK = dict(checkpoint=dict(type='CheckpointHook', interval=1, save_best='score', rule='greater'))


class Stop(Hook):
    """Ends a training the hard way, or by a signal, after an iteration."""

    priority = 'LOW'

    def __init__(self, iteration, number=None):
        self.iteration, self.number = iteration, number

    def after_train_iter(self, runner, *_, **__):
        if runner.iter == self.iteration:
            if self.number is None:
                raise ConnectionAbortedError
            os.kill(os.getpid(), self.number)


@pytest.fixture(autouse=True)
def fresh_globals(monkeypatch):
    """Forget mmengine's process-wide instances, which a second run in one process would inherit."""
    for manager in (DefaultScope, MessageHub, MMLogger, Visualizer):
        monkeypatch.setattr(manager, '_instance_dict', type(manager._instance_dict)())


def run(work_dir, stop=None, resume=False, name=None, **options):
    """Train in the folder; with other random states than any run before, unless it is told them."""
    options.setdefault('experiment_name', f'{work_dir}-{name or resume}-{random.random()}')
    runner = toy_runner(work_dir, resume=resume, **options)
    if stop is not None:
        runner.register_hook(stop)
    try:
        runner.train()
    finally:
        end_workers(runner)
    return runner


def end_workers(runner):
    """Here and now: else the workers of the next run in this process would inherit them."""
    for loader in (runner.train_dataloader, runner.val_dataloader):
        if loader._iterator is not None:
            loader._iterator._shutdown_workers()
            loader._iterator = None


def last_state(work_dir):
    return load_weights_only((work_dir / 'last_checkpoint').read_text())


def first_in(one, other):
    places = (first_difference(one.get(key), other.get(key), key) for key in COMPARED)
    return next((place for place in places if place), None)


def forget_random_states():
    for seed in (random.seed, np.random.mtrand._rand.seed, torch.seed):
        seed()


def draw():
    """One value of each generator; NumPy's and Python's keep the second of a pair of normal values."""
    numpy = np.random.mtrand._rand
    return random.gauss(), numpy.random_sample(), numpy.standard_normal(), float(torch.randn(()))


def interrupted(work_dir, iteration, number=None, **options):
    kind = ConnectionAbortedError if number is None else SystemExit
    with pytest.raises(kind) as stop:
        run(work_dir, Stop(iteration, number), **options)
    forget_random_states()
    return stop.value


@pytest.mark.parametrize('workers', [0, 2])
def test_two_runs_with_one_seed_are_equal_bit_for_bit(tmp_path, workers):
    run(tmp_path / 'a', workers=workers)
    run(tmp_path / 'b', workers=workers)
    assert first_in(last_state(tmp_path / 'a'), last_state(tmp_path / 'b')) is None


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('iteration', [7, 9, 10])
def test_a_killed_run_that_is_resumed_equals_one_that_was_not_killed(tmp_path, workers, iteration):
    run(tmp_path / 'whole', workers=workers)
    interrupted(tmp_path / 'cut', iteration, workers=workers)
    run(tmp_path / 'cut', resume=True, workers=workers)
    assert first_in(last_state(tmp_path / 'whole'), last_state(tmp_path / 'cut')) is None


def test_mmengines_own_hook_resumes_another_training(tmp_path):
    run(tmp_path / 'whole', default_hooks=STOCK)
    interrupted(tmp_path / 'cut', 7, default_hooks=STOCK)
    run(tmp_path / 'cut', resume=True, default_hooks=STOCK)
    assert 'state_dict' in first_in(last_state(tmp_path / 'whole'), last_state(tmp_path / 'cut'))


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(('workers', 'iteration'), [(0, 6), (2, 6), (2, 4)])
def test_a_signal_saves_in_the_middle_of_an_epoch_and_training_goes_on_there(
    tmp_path, number, workers, iteration
):
    run(tmp_path / 'whole', workers=workers)
    stop = interrupted(tmp_path / 'cut', iteration, number, workers=workers)
    assert stop.code == 128 + number
    assert (tmp_path / 'cut/last_checkpoint').read_text().endswith('interrupted.pth')
    assert last_state(tmp_path / 'cut')['meta']['iter'] == iteration + 1
    run(tmp_path / 'cut', resume=True, workers=workers)
    assert first_in(last_state(tmp_path / 'whole'), last_state(tmp_path / 'cut')) is None
    assert not (tmp_path / 'cut/interrupted.pth').exists()


def test_a_forked_process_has_no_part_in_what_a_signal_does(tmp_path):
    class Pool(Hook):
        """Ends a process of its own, as validations of mmdet do."""

        exitcodes = []

        def after_train_epoch(self, runner):
            child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))
            child.start()
            child.terminate()
            child.join(5)
            self.exitcodes.append(child.exitcode)
            child.kill()

    pool = Pool()
    runner = run(tmp_path, pool)
    assert set(pool.exitcodes) == {-signal.SIGTERM}
    assert runner.iter == runner.max_iters


def test_a_schedule_that_keeps_a_function_is_resumed_from(tmp_path):
    schedule = [dict(type='OneCycleLR', eta_max=0.1, total_steps=20, by_epoch=False)]
    run(tmp_path / 'whole', param_scheduler=schedule)
    interrupted(tmp_path / 'cut', 7, param_scheduler=schedule)
    run(tmp_path / 'cut', resume=True, param_scheduler=schedule)
    assert first_in(last_state(tmp_path / 'whole'), last_state(tmp_path / 'cut')) is None


def test_without_the_hook_that_could_save_a_signal_ends_training_all_the_same(tmp_path):
    stop = interrupted(tmp_path, 6, signal.SIGTERM, default_hooks=STOCK)
    assert stop.code == 128 + signal.SIGTERM
    assert (tmp_path / 'last_checkpoint').read_text().endswith('epoch_1.pth')


def test_a_validation_that_was_cut_off_is_made_up_for(tmp_path):
    scores = [0.5, 0.9, 0.1, 0.2]
    evaluator = dict(type='ScriptedToyMetric', scores=scores)
    with pytest.raises(RuntimeError, match='the metric fails'):
        run(tmp_path, val_evaluator=evaluator | dict(fail_at=1))
    assert last_state(tmp_path)['training_state']['validation_due']
    runner = run(tmp_path, resume=True, val_evaluator=evaluator)
    assert runner.message_hub.get_info('best_score') == 0.9
    assert [path.name for path in tmp_path.glob('best_*')] == ['best_score_epoch_2.pth']


def test_resuming_with_another_number_of_processes_is_said(tmp_path, caplog, monkeypatch):
    interrupted(tmp_path, 7)
    path = (tmp_path / 'last_checkpoint').read_text()
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['training_state']['random'] *= 2
    torch.save(checkpoint, path)
    warnings = []
    monkeypatch.setattr('logging.Logger.warning', lambda self, text, *_: warnings.append(text))
    run(tmp_path, resume=True)
    assert any('2 processes, this run has 1' in text for text in warnings)


def test_a_loop_that_cannot_go_on_in_the_middle_of_an_epoch_says_so(tmp_path):
    interrupted(tmp_path, 6, signal.SIGTERM)
    stock = dict(type='EpochBasedTrainLoop', max_epochs=4)
    with pytest.raises(ValueError, match=r'set `train_cfg.type` to ResumableTrainLoop'):
        run(tmp_path, resume=True, train_cfg=stock)


def test_random_states_come_back_through_a_checkpoint_that_runs_no_code(tmp_path):
    torch.save(capture_random_state(), tmp_path / 'state.pth')
    drawn = draw()
    forget_random_states()
    restore_random_state(load_weights_only(str(tmp_path / 'state.pth')))
    assert draw() == drawn


def drawn_by_epoch(work_dir, workers, epochs=2):
    """What each sample drew in each epoch, by epoch and index."""
    found = {}

    class Record(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch):
            for index, value in zip(data_batch['data_samples'], data_batch['inputs'], strict=True):
                found[runner.epoch, int(index)] = (value - index).tolist()

    run(work_dir, Record(), workers=workers, epochs=epochs)
    return found


def test_augmentation_depends_on_epoch_and_sample_and_not_on_the_workers(tmp_path):
    two, three = drawn_by_epoch(tmp_path / '2', 2), drawn_by_epoch(tmp_path / '3', 3)
    assert two == three
    assert len({tuple(value) for value in two.values()}) == 2 * 10


def test_real_trainings_that_are_killed_at_random_come_to_the_same_end(tmp_path):
    result = crash_test(tmp_path / 'work', kills=20)
    assert result.problems == []
    assert sum(result.kills.values()) == 20


def test_the_crash_test_finds_a_training_that_is_not_resumed_exactly(tmp_path):
    options = {'default_hooks.checkpoint.type': 'CheckpointHook'}
    result = crash_test(tmp_path / 'work', kills=20, cfg_options=options)
    assert 'killed_' in result.problems[0]
