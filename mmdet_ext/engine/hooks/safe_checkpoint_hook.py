"""Checkpoints that survive a crash and that training goes on from exactly."""

from pathlib import Path
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import is_main_process, master_only
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmdet_ext.engine.training_state import (
    TrainingState,
    capture_training_state,
    restore_training_state,
    validation_follows,
)
from mmdet_ext.utils.atomic_backend import ATOMIC
from mmdet_ext.utils.config_text import config_formatted_once
from mmdet_ext.utils.files import write_whole

STATE_KEY = 'training_state'
UNFINISHED = 'interrupted.pth'
"""Name of a checkpoint from the middle of an epoch; removed when the epoch has one of its own."""


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook``, taking its arguments, with guarantees.

    - A checkpoint is complete or not there: it is written aside and moved into place, and so is
      ``last_checkpoint``. An older one is removed when its successor is on the disk, the best, too.
    - A run that is resumed gives bit for bit what one without interruption gives, on the same machine
      and with the same number of processes: random states and gradients that wait for accumulation are
      saved, too, and a validation that did not come to its end is repeated. With data-loading workers
      this takes :class:`SampleSeedHook`, in the middle of an epoch ``ResumableTrainLoop``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._resumed: TrainingState | None = None
        self._saving: TrainingState | None = None
        self._saved_step: int | None = None
        self._validation_due = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the state of a run that is resumed, for later."""
        if not runner._resume:
            return
        if STATE_KEY in checkpoint:
            self._resumed = TrainingState(**checkpoint[STATE_KEY])
            return
        runner.logger.warning(
            'The checkpoint has no random states, since another hook wrote it: training goes on, but '
            'not exactly as it would have without the interruption.'
        )

    def before_train(self, runner: Runner) -> None:
        """Restore what was saved, and make up for a validation that is due."""
        if self.backend_args is None and '://' not in (self.out_dir or runner.work_dir):
            self.backend_args = {'backend': ATOMIC}
        super().before_train(runner)
        if is_main_process():
            for leftover in Path(self.out_dir).glob('.*.part'):  # of a process that was killed
                leftover.unlink(missing_ok=True)
        if self._resumed is None:
            return
        state, self._resumed = self._resumed, None
        restore_training_state(runner, state)
        if not state.batches_done:
            self._saved_step = self._steps_done(runner)
            self.last_ckpt = runner.message_hub.get_info('last_ckpt')
        if state.validation_due:
            self._validate(runner)

    def _validate(self, runner: Runner) -> None:
        runner.logger.info('Validating first: the run was interrupted before that had ended.')
        # As it is when an epoch has just ended; MMEngine has set what comes next.
        runner.message_hub.update_info('epoch', max(runner.epoch - self.by_epoch, 0))
        runner.message_hub.update_info('iter', runner.iter - 1)
        runner.val_loop.run()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Save the best checkpoint, and once more the last, which then knows of the validation."""
        saved, self._saved_step = self._saved_step, None
        super().after_val_epoch(runner, metrics)
        if self._saved_step is None and saved == self._steps_done(runner):
            meta = {'epoch': runner.epoch, 'iter': runner.iter}
            self._save_checkpoint_with_step(runner, saved, meta)

    def save_unfinished(self, runner: Runner, batches_done: int) -> str:
        """Save after an iteration in the middle of an epoch; all processes have to call this.

        Args:
            runner: In ``after_train_iter``.
            batches_done: Batches that the epoch has had, with this one.

        Returns:
            The checkpoint's path.
        """
        self._saving = capture_training_state(runner, batches_done)
        self._write(runner, UNFINISHED, {'epoch': runner.epoch, 'iter': runner.iter + 1})
        return self.last_ckpt

    def has_saved(self, runner: Runner) -> bool:
        """Whether the epochs or iterations so far are in a checkpoint."""
        return self._saved_step == self._steps_done(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the state, except to the best checkpoint, which nobody resumes from; leave functions out."""
        _drop_functions(checkpoint.get('param_schedulers'))
        if self._saving is not None:
            checkpoint[STATE_KEY] = self._saving.to_dict()

    def _save_checkpoint(self, runner: Runner) -> None:
        self._validation_due = validation_follows(runner, self.by_epoch)
        super()._save_checkpoint(runner)
        self._validation_due = False

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        self._saving = capture_training_state(runner, validation_due=self._validation_due)
        outdated = self._count_in(step) if self.max_keep_ckpts > 0 else []
        if self.max_keep_ckpts > 0:
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        self._write(runner, self.filename_tmpl.format(step), meta)
        self._saved_step = step
        for name in (UNFINISHED, *map(self.filename_tmpl.format, outdated)):
            self._remove(self.file_backend.join_path(self.out_dir, name))

    def _count_in(self, step: int) -> list[int]:
        """Remember a step and return those that are one too many."""
        outdated = []
        if not self.keep_ckpt_ids or self.keep_ckpt_ids[-1] != step:
            while len(self.keep_ckpt_ids) >= self.max_keep_ckpts:
                outdated.append(self.keep_ckpt_ids.popleft())
            self.keep_ckpt_ids.append(step)
        return outdated

    def _write(self, runner: Runner, name: str, meta: dict) -> None:
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        with config_formatted_once():
            runner.save_checkpoint(
                self.out_dir,
                name,
                self.file_client_args,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
        self._saving = None
        if is_main_process():
            write_whole(Path(runner.work_dir) / 'last_checkpoint', self.last_ckpt)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, float]) -> None:
        # MMEngine removes the best so far before it writes the new one: it is kept out of its sight.
        path, paths = self._best_paths()
        self.best_ckpt_path = None
        self.best_ckpt_path_dict = dict.fromkeys(paths)
        with config_formatted_once():
            super()._save_best_checkpoint(runner, metrics)
        for name, before in paths.items():
            self.best_ckpt_path_dict[name] = self._replaced(before, self.best_ckpt_path_dict[name])
        self.best_ckpt_path = self._replaced(path, self.best_ckpt_path)

    def _best_paths(self) -> tuple[str | None, dict[str, str | None]]:
        return getattr(self, 'best_ckpt_path', None), getattr(self, 'best_ckpt_path_dict', {})

    def _replaced(self, before: str | None, after: str | None) -> str | None:
        if after is None:
            return before
        if before not in (None, after):
            self._remove(before)
        return after

    @master_only
    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):  # as DeepSpeed writes them
            self.file_backend.rmtree(path)

    def _steps_done(self, runner: Runner) -> int:
        return runner.epoch if self.by_epoch else runner.iter


def _drop_functions(states: list[dict] | dict | None) -> None:
    """OneCycleLR keeps one in its state, which each scheduler makes anew and no safe reading lets pass."""
    groups = states.values() if isinstance(states, dict) else [states or []]
    for state in (each for group in groups for each in group):
        for key in [key for key, value in state.items() if callable(value)]:
            del state[key]
