"""A progress bar for runs in a terminal."""

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

_MOST_LOSSES = 15  # of DETRs there are 40 and more
_RESIDENT = Path('/proc/self/statm')


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Show where a run is, as it runs: a bar for training, another for validation, one for testing.

    Beside the bar stand epoch, iteration and the time left of the whole run (at the pace so far,
    validations included); below it losses, learning rate, images per second over all processes and
    memory (what PyTorch holds of the GPU, else what this process has in RAM).

    Nothing changes unless standard output is a terminal, and only the main process shows a bar. The
    lines per iteration of ``LoggerHook`` then go to the log file alone, all others appear above the
    bar. When a run ends, fails or is interrupted, the terminal is as before.

    Args:
        window: Iterations that losses and images per second are averaged over.
        interval: Least seconds from one redrawing to the next.
    """

    priority = 'LOW'  # when everything of the iteration is logged

    def __init__(self, window: int = 20, interval: float = 0.1) -> None:
        self.window = window
        self.interval = interval
        self._bars: _Bars | None = None
        self._images: deque[tuple[float, int]] = deque(maxlen=window + 1)
        self._drawn = self._start = 0.0
        self._start_iter = 0

    def before_run(self, runner: Runner) -> None:
        """Have the run shown, if there is a terminal to show it in."""
        if not is_main_process() or not _in_terminal():
            return
        for loop in (runner._train_loop, runner._val_loop, runner._test_loop):
            if isinstance(loop, BaseLoop):
                # There is no hook for runs that fail or are interrupted: the loop is run in a `with`.
                loop.run = partial(self._run, runner.logger, loop)

    def _run(self, logger: logging.Logger, loop: BaseLoop) -> Any:
        if self._bars is not None:  # validation amid training
            return type(loop).run(loop)
        try:
            with _Bars() as self._bars, _lines_above_bars(logger):
                return type(loop).run(loop)
        finally:
            self._bars = None

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Start the bar of the run, not before a resumed run has skipped the data it has seen."""
        if self._bars is not None and not self._bars.tasks:
            self._bars.add_task('', total=runner.max_iters, completed=runner.iter)
            self._start, self._start_iter = time.monotonic(), runner.iter
            self._restart_clock()

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Take the bar of a validation amid training away."""
        if self._bars is not None and len(self._bars.tasks) > 1:
            self._bars.remove_task(self._bars.task_ids[-1])
            self._restart_clock()

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        if self._bars is not None and mode != 'train':
            self._bars.add_task('', total=_batches(runner, mode))
        self._restart_clock()

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
        mode: str = 'train',
    ) -> None:
        if self._bars is None:
            return
        images = _batch_size(data_batch) * get_world_size()
        self._images.append((time.monotonic(), images))
        if mode == 'train':
            self._show_training(runner, batch_idx, outputs or {})
        else:
            self._show_evaluation(mode, batch_idx + 1, _batches(runner, mode))

    def _show_training(self, runner: Runner, batch_idx: int, outputs: Mapping) -> None:
        done = runner.iter + 1
        pace = (time.monotonic() - self._start) / (done - self._start_iter)
        hub = runner.message_hub.log_scalars
        facts = [*_rates(hub), *self._system(), *_losses(hub, outputs, self.window)]
        self._show(_place(runner, batch_idx), done, runner.max_iters, pace, facts)

    def _show_evaluation(self, mode: str, done: int, batches: int) -> None:
        pace = (self._images[-1][0] - self._images[0][0]) / (len(self._images) - 1)
        name = 'validation' if mode == 'val' else mode
        self._show(f'{name} {done}/{batches}', done, batches, pace, self._system())

    def _show(self, place: str, done: int, total: int, pace: float, facts: list[str]) -> None:
        told = dict(completed=done, left=_clock(pace * (total - done)), facts=facts)
        self._bars.update(self._bars.task_ids[-1], description=place, **told)
        if done == total or time.monotonic() - self._drawn >= self.interval:
            self._bars.refresh()
            self._drawn = time.monotonic()

    def _restart_clock(self) -> None:
        self._images.clear()
        self._images.append((time.monotonic(), 0))

    def _system(self) -> list[str]:
        (start, _), *counts = self._images
        images, seconds = sum(count for _, count in counts), counts[-1][0] - start
        speed = [f'{images / seconds:.1f} images/s'] if images and seconds else []
        memory = _memory()
        return speed if memory is None else [*speed, f'memory {memory / 2**30:.2f} GiB']


class _Bars(Progress):
    """Bars over what is known of the last one, redrawn only on request.

    A thread that redraws could hold a lock just when a data loader forks its workers.
    """

    def __init__(self) -> None:
        super().__init__(
            TextColumn('{task.description}'),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn('{task.fields[left]}'),
            console=Console(),
            auto_refresh=False,
            expand=True,
        )

    def add_task(self, description: str, **options: Any) -> int:
        return super().add_task(description, left='', facts=[], **options)

    def get_renderables(self) -> Iterator[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks[-1:]:
            yield Columns(task.fields['facts'], padding=(0, 3))


class _PerIteration(logging.Filter):
    """Holds back what LoggerHook logs every so many iterations."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.module != 'logger_hook' or not record.funcName.endswith('_iter')


@contextmanager
def _lines_above_bars(logger: logging.Logger) -> Iterator[None]:
    """Let the console's handlers write through rich, which has taken the place of ``sys.stdout``."""
    consoles = [
        handler
        for handler in logger.handlers
        if type(handler) is logging.StreamHandler and _is_terminal(handler.stream)
    ]
    filtered, streams = _PerIteration(), [handler.stream for handler in consoles]
    for handler in consoles:
        handler.setStream(sys.stdout)
        handler.addFilter(filtered)
    try:
        yield
    finally:
        for handler, stream in zip(consoles, streams, strict=True):
            handler.setStream(stream)
            handler.removeFilter(filtered)


def _in_terminal() -> bool:
    console = Console()  # takes a CI log for a terminal when told to print in colour
    return _is_terminal(sys.stdout) and console.is_terminal and not console.is_dumb_terminal


def _is_terminal(stream: Any) -> bool:
    return hasattr(stream, 'isatty') and stream.isatty()


def _place(runner: Runner, batch_idx: int) -> str:
    if isinstance(runner.train_loop, IterBasedTrainLoop):
        return f'iteration {runner.iter + 1}/{runner.max_iters}'
    batches = len(runner.train_dataloader)
    return f'epoch {runner.epoch + 1}/{runner.max_epochs}  iteration {batch_idx + 1}/{batches}'


def _batches(runner: Runner, mode: str) -> int:
    return len(runner.val_dataloader if mode == 'val' else runner.test_dataloader)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02}:{seconds:02} left'


def _rates(hub: Mapping[str, HistoryBuffer]) -> list[str]:
    names = [name for name in hub if name.startswith('train/') and name.endswith('lr')]
    return [f'{name.removeprefix("train/")} {hub[name].current():.2e}' for name in names]


def _losses(hub: Mapping[str, HistoryBuffer], outputs: Mapping, window: int) -> list[str]:
    names = sorted(outputs, key=lambda name: name != 'loss')  # the total first
    known = [name for name in names if f'train/{name}' in hub]
    shown = [f'{name} {hub[f"train/{name}"].mean(window):.4g}' for name in known[:_MOST_LOSSES]]
    return [*shown, f'and {len(known) - len(shown)} more'] if len(shown) < len(known) else shown


def _batch_size(data_batch: Any) -> int:
    try:
        inputs = data_batch['inputs'] if isinstance(data_batch, Mapping) else data_batch[0]
        branches = inputs.values() if isinstance(inputs, Mapping) else [inputs]  # semi-supervised
        return sum(len(images) for images in branches)
    except (KeyError, IndexError, TypeError):  # of a form that only its model knows
        return 0


def _memory() -> int | None:
    """Bytes; None where the system does not say."""
    if torch.cuda.is_available():
        return torch.cuda.memory_reserved()
    if _RESIDENT.is_file():
        return int(_RESIDENT.read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')
    return None
