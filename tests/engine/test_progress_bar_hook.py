"""The progress bar: what it says is true, and outside a terminal it is not there."""

import io
import logging
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import Dataset

from mmdet_ext.engine.hooks import ProgressBarHook, progress_bar_hook
from mmdet_ext.engine.hooks.progress_bar_hook import _batch_size

ESCAPES = re.compile(r'\x1b\[[0-9;?]*[A-Za-z]')
BAR = re.compile('[━╸╺]+')


class Terminal(io.StringIO):
    """Takes down what is written to it."""

    def isatty(self):
        return True

    def text(self):
        return ESCAPES.sub('', self.getvalue())

    def frames(self):
        """What the bars were drawn with, one string each, spaces squeezed."""
        drawn = re.split(r'\x1b\[2K', self.getvalue())
        texts = [' '.join(BAR.sub('|', ESCAPES.sub('', frame)).split()) for frame in drawn]
        return [text for text in texts if '|' in text]


class Clock:
    """Time that passes when the model says so."""

    now = 100.0

    def monotonic(self):
        return self.now


class Samples(Dataset):
    metainfo = {}

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {'inputs': torch.ones(1), 'data_samples': index}


class Model(BaseModel):
    """The n-th training iteration takes a second and has the losses 2 n and n; a test batch 1/4 s."""

    def __init__(self, clock, fail_at=None, error=None, losses=('loss_a', 'loss_b')):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.clock, self.calls, self.fail_at, self.error = clock, 0, fail_at, error
        self.losses = losses

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.clock.now += 1 if mode == 'loss' else 0.25
        if mode != 'loss':
            return [{} for _ in inputs]
        self.calls += 1
        if self.calls == self.fail_at:
            raise self.error
        nothing = self.layer.weight.sum() * 0
        return dict.fromkeys(self.losses, nothing + self.calls)


class Count(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results += list(data_samples)

    def compute_metrics(self, results):
        return {'seen': len(results)}


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(progress_bar_hook, 'time', clock := Clock())
    monkeypatch.setattr(progress_bar_hook, '_memory', lambda: 3 * 2**29)
    monkeypatch.setenv('COLUMNS', '200')
    monkeypatch.setenv('TERM', 'xterm')
    for variable in ('FORCE_COLOR', 'NO_COLOR', 'TTY_COMPATIBLE', 'TTY_INTERACTIVE'):
        monkeypatch.delenv(variable, raising=False)
    yield clock
    for manager in (MMLogger, MessageHub, Visualizer):
        for name in [key for key in manager._instance_dict if key.startswith('bar')]:
            del manager._instance_dict[name]


@pytest.fixture
def terminal():
    return Terminal()


@pytest.fixture
def make_runner(tmp_path, clock, terminal, monkeypatch):
    def make(
        hooks=(dict(type='ProgressBarHook', window=3, interval=0),),
        out=terminal,
        model={},
        **options,
    ):
        monkeypatch.setattr(sys, 'stdout', out)  # here, for pytest puts its own in place before
        make.count += 1
        loader = dict(
            batch_size=2,
            num_workers=0,
            dataset=Samples(),
            sampler=dict(type='DefaultSampler', shuffle=False),
        )
        defaults = dict(
            train_dataloader=loader,
            train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=9),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.125)),
            default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        )
        for part in ('val', 'test'):
            defaults |= {f'{part}_dataloader': loader, f'{part}_cfg': dict()}
            defaults[f'{part}_evaluator'] = [Count()]
        names = dict(experiment_name=f'bar{make.count}', default_scope='mmdet')
        return Runner(
            Model(clock, **model),
            str(tmp_path),
            custom_hooks=[*hooks],
            **names,
            **(defaults | options),
        )

    make.count = 0
    return make


def log_of(runner):
    return Path(runner.log_dir, f'{runner.timestamp}.log').read_text()


def test_it_shows_place_time_left_rate_speed_memory_and_mean_losses(make_runner, terminal):
    make_runner(train_cfg=dict(by_epoch=True, max_epochs=2)).train()
    # The sixth iteration, the second of its epoch: 10 s of training and 4 validation batches so far.
    assert (
        'epoch 2/2 iteration 2/4 | 75% 0:00:02 left lr 1.25e-01 2.0 images/s memory 1.50 GiB '
        'loss 10 loss_a 5 loss_b 5'
    ) in terminal.frames()


def test_the_time_left_counts_the_validations_too(make_runner, terminal):
    cfg = dict(by_epoch=True, max_epochs=4, val_interval=1)
    make_runner(train_cfg=cfg).train()
    # 12 s of training and 2 of validating for 12 of 16 iterations: 4.67 s for the rest
    assert any(
        f.startswith('epoch 3/4 iteration 4/4 | 75% 0:00:05 left') for f in terminal.frames()
    )


def test_iteration_based_training_shows_the_iterations_of_the_run(make_runner, terminal):
    cfg = dict(by_epoch=False, max_iters=5, val_interval=9)
    processor = dict(type='LogProcessor', by_epoch=False)
    make_runner(train_cfg=cfg, log_processor=processor).train()
    assert any(f.startswith('iteration 3/5 | 60% 0:00:02 left') for f in terminal.frames())
    assert 'epoch' not in terminal.frames()[0]


def test_accumulated_gradients_change_neither_place_nor_speed(make_runner, terminal):
    wrapper = dict(type='OptimWrapper', accumulative_counts=2, optimizer=dict(type='SGD', lr=0.125))
    make_runner(optim_wrapper=wrapper).train()
    place = 'epoch 2/2 iteration 2/4 | 75% 0:00:02 left lr 1.25e-01 2.0 images/s'
    assert any(frame.startswith(place) for frame in terminal.frames())


def test_a_resumed_run_goes_on_at_its_place_with_a_pace_of_its_own(make_runner, clock, terminal):
    hooks = dict(logger=dict(type='LoggerHook'), checkpoint=dict(type='CheckpointHook', interval=1))
    cfg = dict(by_epoch=True, max_epochs=1, val_interval=9)
    make_runner(train_cfg=cfg, default_hooks=hooks).train()
    seen = len(terminal.frames())
    cfg = dict(by_epoch=True, max_epochs=3, val_interval=9)
    runner = make_runner(train_cfg=cfg, resume=True)
    clock.now += 1000
    runner.train()
    first = terminal.frames()[seen:][1]
    assert first.startswith('epoch 2/3 iteration 1/4 | 42% 0:00:07 left')  # 5 of 12 iterations


def test_a_validation_amid_training_has_a_bar_that_goes_away(make_runner, terminal):
    cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
    make_runner(train_cfg=cfg).train()
    frames = terminal.frames()
    assert any(
        'epoch 1/2 iteration 4/4 | 50%' in f and f.endswith(
            'validation 3/4 | 75% 0:00:00 left 8.0 images/s memory 1.50 GiB'
        ) for f in frames
    )  # fmt: skip
    assert 'validation' not in frames[-1]
    assert frames[-1].startswith('epoch 2/2 iteration 4/4 | 100% 0:00:00 left')


def test_testing_has_a_bar(make_runner, terminal):
    make_runner().test()
    assert terminal.frames()[-1].startswith('test 4/4 | 100% 0:00:00 left 8.0 images/s')


def test_the_images_of_all_processes_count(make_runner, terminal, monkeypatch):
    monkeypatch.setattr(progress_bar_hook, 'get_world_size', lambda: 4)
    make_runner().train()
    assert ' 8.0 images/s' in terminal.frames()[-1]


def test_lines_per_iteration_go_to_the_log_file_only_and_all_others_to_both(make_runner, terminal):
    cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
    runner = make_runner(train_cfg=cfg)
    runner.train()
    shown, log = terminal.text(), log_of(runner)
    assert len(re.findall(r'Epoch\(train\)', log)) == 8
    assert len(re.findall(r'Epoch\(val\) .*\[[1-4]/4\] ', log)) == 2 * 4 + 2
    assert 'Epoch(train)' not in shown
    assert re.findall(r'Epoch\(val\) .*seen: (\d+)', shown) == ['8', '8']  # once each


def test_without_a_terminal_the_output_is_that_of_the_logger(make_runner):
    outputs = []
    for hooks in ((), (dict(type='ProgressBarHook'),)):
        pipe = io.StringIO()
        make_runner(hooks, pipe).train()
        lines = [re.sub(r'\d[\d/.:]*', '0', line) for line in pipe.getvalue().splitlines()]
        outputs.append([line for line in lines if 'Epoch(train)' in line])
    assert len(outputs[0]) == 8
    assert outputs[0] == outputs[1]
    assert '\x1b[2K' not in pipe.getvalue()


@pytest.mark.parametrize('variables', [{'TERM': 'dumb'}, {'TTY_COMPATIBLE': '0'}])
def test_terminals_that_cannot_move_the_cursor_get_plain_lines(
    make_runner, terminal, monkeypatch, variables
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    make_runner().train()
    assert 'Epoch(train)' in terminal.text()
    assert not terminal.frames()


def test_a_log_file_that_is_told_to_be_in_colour_gets_no_bar(make_runner, monkeypatch):
    monkeypatch.setenv('FORCE_COLOR', '1')
    pipe = io.StringIO()
    make_runner(out=pipe).train()
    assert 'Epoch(train)' in pipe.getvalue()
    assert '\x1b[2K' not in pipe.getvalue()


def test_other_ranks_show_nothing(make_runner, terminal, monkeypatch):
    monkeypatch.setattr(progress_bar_hook, 'is_main_process', lambda: False)
    make_runner().train()
    assert not terminal.frames()


@pytest.mark.parametrize('error', [RuntimeError('boom'), KeyboardInterrupt()])
def test_a_run_that_breaks_off_leaves_the_terminal_as_it_was(make_runner, terminal, error):
    runner = make_runner(model=dict(fail_at=3, error=error))
    with pytest.raises(type(error)):
        runner.train()
    assert sys.stdout is terminal
    assert terminal.getvalue().rindex('\x1b[?25h') > terminal.getvalue().rindex('\x1b[?25l')
    assert terminal.getvalue().endswith(('\n', '\x1b[?25h'))
    before = len(terminal.getvalue())
    runner.logger.info('Epoch(train) and so on')
    assert terminal.getvalue()[before:].count('\n') == 1
    (console,) = [h for h in runner.logger.handlers if type(h) is logging.StreamHandler]
    assert console.stream is terminal
    assert [type(f).__name__ for f in console.filters] == ['FilterDuplicateWarning']


def test_of_very_many_losses_the_first_are_shown(make_runner, terminal):
    losses = [f'd{k}.loss' for k in range(20)]
    make_runner(model=dict(losses=losses)).train()
    last = terminal.frames()[-1]
    assert 'loss 140 d0.loss 7 d1.loss 7' in last  # of iterations 6 to 8, 20 losses
    assert last.endswith('d13.loss 7 and 6 more')


@pytest.mark.parametrize(('batch', 'images'), [
    ({'inputs': torch.zeros(3, 3, 8, 8)}, 3),
    ({'inputs': [torch.zeros(3, 8, 8)] * 2}, 2),
    ({'inputs': {'sup': [0], 'unsup_teacher': [0] * 4, 'unsup_student': [0] * 4}}, 9),
    ((torch.zeros(5, 3, 8, 8), torch.zeros(5)), 5),
])  # fmt: skip
def test_images_are_counted_in_every_form_of_batch(clock, batch, images):
    hook = ProgressBarHook()
    hook._bars = SimpleNamespace(
        task_ids=[0],
        tasks=[0],
        refresh=lambda: None,
        update=lambda task, **told: facts.update(told),
    )
    hook._before_epoch(None, 'train')
    clock.now += 0.5
    runner = SimpleNamespace(val_dataloader=[0])
    facts = {}
    hook.after_val_iter(runner, 0, batch)
    assert facts['facts'][0] == f'{2 * images:.1f} images/s'


def test_a_batch_of_a_form_of_its_own_has_no_speed(make_runner, terminal, monkeypatch):
    monkeypatch.setattr(progress_bar_hook, '_batch_size', lambda batch: real({'frames': batch}))
    real = _batch_size
    make_runner().train()
    assert ' lr 1.25e-01 memory 1.50 GiB loss' in terminal.frames()[-1]


def test_an_output_that_is_no_file_gets_plain_lines(make_runner):
    class Tee:
        def __init__(self):
            self.text = ''

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    tee = Tee()
    make_runner(out=tee).train()
    assert 'Epoch(train)' in tee.text


def test_memory_is_what_the_process_holds():
    resident = re.search(r'VmRSS:\s+(\d+) kB', Path('/proc/self/status').read_text())[1]
    assert progress_bar_hook._memory() == pytest.approx(int(resident) * 1024, rel=0.02)
