"""Early stopping that a resumed run goes on with."""

import math
from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdet_ext.engine.metric_rules import rule_of
from mmdet_ext.engine.training_state import trains
from mmdet_ext.utils.errors import did_you_mean


@HOOKS.register_module()
class ResumableEarlyStoppingHook(Hook):
    """Stop training when a metric has not improved for some validations.

    Stock ``EarlyStoppingHook`` asks for an improvement of 0.1 by default, so that few metrics between
    0 and 1 count as improving, and starts anew when a run is resumed.

    Prechelt: Early Stopping - But When?, 1998.

    Args:
        monitor: Name of the metric, such as ``slot/f1``.
        rule: Whether ``greater`` or ``less`` of it is better; told by the name if it can be.
        patience: Validations in a row without an improvement after which training stops.
        min_delta: Least difference from the best value that is an improvement; a tie is none.
        relative: Take ``min_delta`` as a share of the best value.
        threshold: Stop at once when the metric is as good as this.

    Raises:
        ValueError: An option is out of its range, or the name does not tell the rule.
    """

    priority = 'LOW'  # before the checkpoint of this validation is saved, which has the state in it

    def __init__(
        self,
        monitor: str,
        rule: str | None = None,
        patience: int = 5,
        min_delta: float = 0.0,
        relative: bool = False,
        threshold: float | None = None,
    ) -> None:
        if patience < 1 or min_delta < 0:
            raise ValueError(
                f'ResumableEarlyStoppingHook got patience={patience} and min_delta={min_delta}: give '
                'at least 1 validation and a difference of at least 0.'
            )
        self.monitor, self.rule = monitor, rule_of(monitor, rule)
        self.patience, self.min_delta, self.relative = patience, min_delta, relative
        self.threshold = threshold
        self._missing = ''

    def before_train(self, runner: Runner) -> None:
        """Stop a resumed run that was stopped already, unless the patience is greater now."""
        if runner.val_loop is None:
            raise ValueError(
                f'ResumableEarlyStoppingHook watches {self.monitor}, but the config validates '
                'nothing: set `val_dataloader`, `val_cfg` and `val_evaluator`, or remove the hook.'
            )
        state = self._state(runner)
        if reason := self._reason(state):
            self._stop(runner, f'The run that is resumed was stopped already: {reason}')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Compare the metric with the best so far."""
        metrics = metrics or {}
        if self.monitor not in metrics:
            self._missing = (
                f'ResumableEarlyStoppingHook watches {self.monitor}, which the validation does not '
                f'give{did_you_mean(self.monitor, list(metrics))}: it gives '
                f'{", ".join(metrics) or "nothing"}; set `monitor` to one of them.'
            )
            return
        value = metrics[self.monitor]
        value = math.nan if value is None else float(value)
        state = self._state(runner)
        if self._is_better(value, state['best']):
            state.update(best=value, best_at=runner.iter, waited=0)
        else:
            state['waited'] += 1
        state['last'] = value
        runner.message_hub.update_info(self._key, state)
        if reason := self._reason(state):
            self._stop(runner, reason)

    def after_val(self, runner: Runner) -> None:
        """Say that there is no such metric, when the checkpoint of this validation is saved."""
        if self._missing and trains(runner):
            raise ValueError(self._missing)

    @property
    def _key(self) -> str:
        return f'early_stopping_{self.monitor}'

    def _state(self, runner: Runner) -> dict[str, Any]:
        new = dict(best=None, best_at=None, waited=0, last=None)
        return dict(runner.message_hub.runtime_info.get(self._key, new))

    def _is_better(self, value: float, best: float | None) -> bool:
        if not math.isfinite(value) or best is None:
            return math.isfinite(value)
        gain = value - best if self.rule == 'greater' else best - value
        return gain > 0 and gain >= self.min_delta * (abs(best) if self.relative else 1)

    def _reason(self, state: dict[str, Any]) -> str:
        """Why to stop; empty to go on."""
        last, best = state['last'], state['best']
        sign = 1 if self.rule == 'greater' else -1
        if last is not None and self.threshold is not None and sign * (last - self.threshold) >= 0:
            return f'{self.monitor} is {last:.4g}, as good as the threshold {self.threshold:.4g}.'
        if state['waited'] < self.patience:
            return ''
        if best is None:
            return f'{self.monitor} was {last} in all of {state["waited"]} validations.'
        return (
            f'{self.monitor} has not been better than {best:.4g}, of iteration {state["best_at"]}, '
            f'for {state["waited"]} validations; the last was {last:.4g}.'
        )

    @staticmethod
    def _stop(runner: Runner, reason: str) -> None:
        runner.train_loop.stop_training = True
        runner.logger.info(f'Training stops early: {reason}')
