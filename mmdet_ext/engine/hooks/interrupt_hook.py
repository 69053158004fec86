"""Ctrl-C and SIGTERM end training with a checkpoint."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_reduce, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from .safe_checkpoint_hook import SafeCheckpointHook

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@HOOKS.register_module()
class InterruptHook(Hook):
    """On Ctrl-C or SIGTERM, finish the iteration, save a checkpoint, and say how to go on.

    With several processes, a signal to any of them stops all. During validation the process ends at
    once, if the epoch has its checkpoint; else when validation is through. A second signal ends the
    process where it is. The exit code is 128 plus the signal's number, as shells have it. Loops other
    than ``ResumableTrainLoop``, and runs without :class:`SafeCheckpointHook`, go on from the checkpoint
    before.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.received: int | None = None
        self._handlers: dict[int, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Start to listen, in the main thread; elsewhere Python delivers no signals."""
        for loop in (runner.train_loop, runner.val_loop):
            if loop is not None:
                loop.dataloader.worker_init_fn = _DeafWorker(loop.dataloader.worker_init_fn)
        if threading.current_thread() is threading.main_thread():
            _Forks.listening = self
            self._handlers = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def after_train_iter(self, runner: Runner, batch_idx: int, *_: Any, **__: Any) -> None:
        """Save and stop, if a signal has come."""
        if not self._agreed():
            return
        hook = _checkpoint_hook(runner)
        if hook is not None and hasattr(runner.train_loop, 'batches_done'):
            path = hook.save_unfinished(runner, batch_idx + 1)
            batches = len(runner.train_dataloader)
            done = f'{runner.epoch} epochs and {batch_idx + 1} of {batches} batches are in {path}'
        else:
            done = _saved_before(runner)
        self._stop(runner, done)

    def after_val_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Stop, if a signal has come and the epoch has a checkpoint, from which to validate again."""
        if self.received is None:
            return
        hook = _checkpoint_hook(runner)
        if hook is not None and hook.has_saved(runner):
            self._stop(runner, _saved_before(runner))

    def after_val_epoch(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Stop, if a signal has come."""
        if runner._train_loop is not None and self._handlers and self._agreed():
            self._stop(runner, _saved_before(runner))

    def after_train(self, runner: Runner) -> None:
        """Leave signals to those who had them before."""
        self.release()

    def release(self) -> None:
        """Restore the handlers that were there before training."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self.release()
        if is_main_process():
            print(
                f'\n{_name(number)}: the iteration is finished, then a checkpoint is saved (once more '
                'ends it at once).',
                file=sys.stderr,
                flush=True,
            )

    def _agreed(self) -> bool:
        if get_world_size() == 1:
            return self.received is not None
        number = torch.tensor(self.received or 0)
        all_reduce(number, 'max')
        self.received = int(number) or None
        return self.received is not None

    def _stop(self, runner: Runner, done: str) -> None:
        self.release()
        runner.logger.warning(
            f'{_name(self.received)} ended the training: {done}; go on with --resume.'
        )
        raise SystemExit(128 + self.received)


class _Forks:
    """Has forked processes, such as those of a pool, simply ended by signals.

    Python drops signals that come while it forks, so they are held back until the handlers are gone.
    """

    listening: InterruptHook | None = None

    @classmethod
    def before(cls) -> None:
        if cls.listening is not None:
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    @classmethod
    def after_in_parent(cls) -> None:
        if cls.listening is not None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    @classmethod
    def after_in_child(cls) -> None:
        if cls.listening is not None:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            cls.listening = None
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


os.register_at_fork(
    before=_Forks.before,
    after_in_parent=_Forks.after_in_parent,
    after_in_child=_Forks.after_in_child,
)


class _DeafWorker:
    """``worker_init_fn`` for workers that outlive Ctrl-C, which reaches all processes of a terminal."""

    def __init__(self, init: Callable[[int], None] | None) -> None:
        self.init = init

    def __call__(self, worker_id: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if self.init is not None:
            self.init(worker_id)


def _checkpoint_hook(runner: Runner) -> SafeCheckpointHook | None:
    return next((hook for hook in runner.hooks if isinstance(hook, SafeCheckpointHook)), None)


def _saved_before(runner: Runner) -> str:
    path = runner.message_hub.runtime_info.get('last_ckpt')
    return f'the last checkpoint is {path}' if path else 'there is no checkpoint yet'


def _name(number: int) -> str:
    return 'Ctrl-C' if number == signal.SIGINT else signal.Signals(number).name
