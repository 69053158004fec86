"""A guard against NaN and infinity in losses and gradients."""

from functools import wraps
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor

from mmdet_ext.engine.non_finite_findings import (
    NonFiniteFinding,
    describe_findings,
    find_non_finite,
    remedy_for,
)
from mmdet_ext.engine.random_state import capture_random_state
from mmdet_ext.engine.replay import BufferCopy, same_random_numbers
from mmdet_ext.engine.rollback import last_checkpoint, roll_back
from mmdet_ext.utils.model_wrappers import unwrapped

_ACTIONS = ('stop', 'skip', 'roll_back')
_MOST_OVERFLOWS = 20  # in a row; a GradScaler that starts at 2 ** 16 is below 1 by then


@HOOKS.register_module()
class NonFiniteGuardHook(Hook):
    """Keep steps whose loss or gradients are not finite from the weights, and say where that arises.

    Looks once per step of the optimizer, before it. Only when something is wrong are the batches of
    the step run again, with the same random numbers, to name the losses, the first module that gives
    such values (or the image or label that holds them already) and the image files. Running means of
    batch norms never see a batch whose loss is not finite.

    Gradients that overflow because a ``GradScaler`` scaled them are left to it, unless there are more
    than 20 such steps in a row. Stock ``CheckInvalidLossHook`` looks every 50 iterations, when the
    weights are spoilt already.

    Args:
        action: ``stop`` the training, ``skip`` the step (on all ranks), or ``roll_back`` weights and
            optimizer to the last checkpoint while data and schedules go on.
        max_in_a_row: Steps that may be skipped one after the other before training stops.
        max_rollbacks: How often a training, resumed ones included, may be rolled back.
        check_gradients: Look at the gradients, too, not only at the loss.

    Raises:
        ValueError: An option is out of its range; or, in training, when it stops.
    """

    priority = 'LOWEST'  # right before the forward pass, with its random states

    def __init__(
        self,
        action: str = 'stop',
        max_in_a_row: int = 10,
        max_rollbacks: int = 3,
        check_gradients: bool = True,
    ) -> None:
        if action not in _ACTIONS:
            raise ValueError(
                f'NonFiniteGuardHook got action={action!r}: give one of {", ".join(_ACTIONS)}.'
            )
        if max_in_a_row < 0 or max_rollbacks < 0:
            raise ValueError(
                f'NonFiniteGuardHook got max_in_a_row={max_in_a_row} and '
                f'max_rollbacks={max_rollbacks}, which are counts: give 0 or more.'
            )
        self.action = action
        self.max_in_a_row, self.max_rollbacks = max_in_a_row, max_rollbacks
        self.check_gradients = check_gradients
        self._in_a_row = self._overflows = 0
        self._batches: list[tuple[Any, dict]] = []  # since the last step
        self._loss: Tensor | None = None

    def before_train(self, runner: Runner) -> None:
        """Put the guard before the steps of the optimizer."""
        wrapper = runner.optim_wrapper
        if isinstance(wrapper, OptimWrapperDict):
            raise ValueError(
                'NonFiniteGuardHook guards one optimizer, but `optim_wrapper` holds '
                f'{", ".join(wrapper.keys())}: remove the hook from `custom_hooks`.'
            )
        self._model = unwrapped(runner.model)
        self._buffers = BufferCopy(self._model)
        self._forget()
        update_params, step = self._originals = wrapper.update_params, wrapper.step

        @wraps(update_params)
        def guarded_update(loss: Tensor, *args, **kwargs) -> None:
            if not loss.isfinite().all():  # at once: averages of the model take its buffers, too
                self._buffers.restore()
            self._loss = loss.detach() if self._loss is None else self._loss + loss.detach()
            update_params(loss, *args, **kwargs)

        @wraps(step)  # with the mark by which schedulers know it
        def guarded_step(**kwargs) -> None:
            if self._may_step(runner):
                step(**kwargs)
            self._forget()

        # On the instance: any optimizer wrapper, whatever else was changed in it.
        wrapper.update_params, wrapper.step = guarded_update, guarded_step

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Keep what is needed to run the batch again."""
        self._buffers.update()
        self._batches.append((data_batch, capture_random_state()))

    def after_train(self, runner: Runner) -> None:
        """Take the guard away."""
        runner.optim_wrapper.update_params, runner.optim_wrapper.step = self._originals

    def _forget(self) -> None:
        self._batches.clear()
        self._loss = None

    def _may_step(self, runner: Runner) -> bool:
        in_loss, in_gradients = self._look(runner)
        self._overflows = self._overflows + 1 if in_gradients else 0
        if not (in_loss or in_gradients):
            self._in_a_row = 0
            return True
        scaler = getattr(runner.optim_wrapper, 'loss_scaler', None)
        scaled = scaler is not None and scaler.is_enabled()
        if scaled and not in_loss and self._overflows <= _MOST_OVERFLOWS:
            return True  # the scaler skips the step itself
        findings = self._find(runner, in_loss)
        self._act(runner, describe_findings(findings, runner.iter + 1, in_loss), findings)
        return False

    def _look(self, runner: Runner) -> tuple[bool, bool]:
        """Whether the loss or a gradient is not finite on any rank; waits once for the device."""
        groups = runner.optim_wrapper.optimizer.param_groups
        gradients = [p.grad for group in groups for p in group['params'] if p.grad is not None]
        gradients = [g for g in gradients if self.check_gradients and not g.is_sparse]
        device = gradients[0].device if gradients else next(self._model.parameters()).device
        seen = torch.zeros(2, device=device)
        if self._loss is not None:
            seen[0] = self._loss
        if gradients:  # the Euclidean norm is 20 times as fast to compute as any other
            norms = torch._foreach_norm(gradients, 2)
            seen[1] = torch.stack([norm.to(device, torch.float32) for norm in norms]).sum()
        in_loss, in_gradients = _on_any_rank(~seen.isfinite())
        if in_gradients:  # or only their squares overflow
            in_gradients = any(_on_any_rank(torch.stack([~g.isfinite().all() for g in gradients])))
        return in_loss, in_gradients

    def _find(self, runner: Runner, in_loss: bool) -> list[NonFiniteFinding]:
        """What is wrong on all ranks, each of which runs all its batches."""
        findings = []
        self._buffers.update()
        for batch, random_state in self._batches:
            with same_random_numbers(random_state):
                findings.append(find_non_finite(self._model, runner.optim_wrapper, batch, in_loss))
            self._buffers.restore()
        gathered = all_gather_object([finding for finding in findings if finding])
        return [finding for of_rank in gathered for finding in of_rank]

    def _act(self, runner: Runner, what: str, findings: list[NonFiniteFinding]) -> None:
        if self.action == 'stop':
            raise ValueError(
                f'{what}; {remedy_for(findings)}, or set `action` of NonFiniteGuardHook to skip or '
                'roll_back.'
            )
        if self.action == 'skip':
            self._skip(runner, what, findings)
        else:
            self._roll_back(runner, what, findings)

    def _skip(self, runner: Runner, what: str, findings: list[NonFiniteFinding]) -> None:
        self._in_a_row += 1
        if self._in_a_row > self.max_in_a_row:
            raise ValueError(
                f'{what}; that is {self._in_a_row} steps in a row, and max_in_a_row of '
                f'NonFiniteGuardHook is {self.max_in_a_row}: {remedy_for(findings)}.'
            )
        skipped = _count(runner, 'non_finite_skipped')
        runner.message_hub.update_scalar('train/skipped_steps', skipped)
        runner.logger.warning(f'{what}; this step is skipped, the {skipped}. so far.')

    def _roll_back(self, runner: Runner, what: str, findings: list[NonFiniteFinding]) -> None:
        path = last_checkpoint(runner)
        if path is None:
            raise ValueError(
                f'{what}; there is no checkpoint to go back to yet: {remedy_for(findings)}.'
            )
        times = _count(runner, 'non_finite_rolled_back')
        if times > self.max_rollbacks:
            raise ValueError(
                f'{what}; training went back {self.max_rollbacks} times already, which is '
                f'max_rollbacks of NonFiniteGuardHook: {remedy_for(findings)}.'
            )
        roll_back(runner, path)
        runner.logger.warning(
            f'{what}; weights and optimizer are back to {path} ({times} of at most '
            f'{self.max_rollbacks} times), data and schedules go on.'
        )


def _on_any_rank(flags: Tensor) -> list[bool]:
    flags = flags.float()
    all_reduce(flags, op='max')
    return flags.bool().tolist()


def _count(runner: Runner, name: str) -> int:
    """Add one to a count that a resumed run goes on with."""
    count = runner.message_hub.runtime_info.get(name, 0) + 1
    runner.message_hub.update_info(name, count)
    return count
