"""Agreement of schedules and training."""

from collections.abc import Iterator

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.optim.scheduler.param_scheduler import (
    INF,
    ReduceOnPlateauParamScheduler,
    _ParamScheduler,
)
from mmengine.runner import Runner

from mmdet_ext.engine.metric_rules import rule_of
from mmdet_ext.utils.errors import did_you_mean


@HOOKS.register_module()
class ScheduleCheckHook(Hook):
    """Compare the schedules with the length of the training and with the metrics of the validation.

    A schedule that is longer than the training, whose last part never comes, is a warning. Of
    schedules that reduce on a plateau, stock mmengine watches ``loss`` unless told otherwise, and
    takes less of any metric as better; both are errors here where they do not fit.
    """

    priority = 'BELOW_NORMAL'  # before ParamSchedulerHook takes the metrics

    def before_run(self, runner: Runner) -> None:
        """Remember what the config watches: a checkpoint that is resumed from brings its own."""
        self._watched = {
            name: (scheduler.monitor, scheduler.rule) for name, scheduler in _plateaus(runner)
        }

    def before_train(self, runner: Runner) -> None:
        """Check what is known before the first validation.

        Raises:
            ValueError: A schedule waits for a metric that no validation gives, or for the contrary
                of an improvement.
        """
        for name, scheduler in _plateaus(runner):
            _watch(runner, scheduler, *self._watched[name])
            _check_plateau(runner, name, scheduler)
        for name, scheduler in _schedulers(runner):
            _warn_of_length(runner, name, scheduler)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Check that the metrics are there.

        Raises:
            ValueError: One is not; names near matches.
        """
        for name, scheduler in _plateaus(runner):
            monitor = scheduler.monitor
            if metrics and monitor not in metrics:
                raise ValueError(
                    f'{name} ({type(scheduler).__name__}) waits for {monitor}, which the validation '
                    f'does not give{did_you_mean(monitor, list(metrics))}: it gives '
                    f'{", ".join(metrics)}; set its `monitor` to one of them.'
                )


def _schedulers(runner: Runner) -> Iterator[tuple[str, _ParamScheduler]]:
    """Schedulers by their place in the config."""
    schedulers = runner.param_schedulers or []
    if isinstance(schedulers, dict):  # by optimizer
        schedulers = [scheduler for of_one in schedulers.values() for scheduler in of_one]
    for i, scheduler in enumerate(schedulers):
        if isinstance(scheduler, _ParamScheduler):  # not before training
            yield f'param_scheduler[{i}]', scheduler


def _plateaus(runner: Runner) -> Iterator[tuple[str, ReduceOnPlateauParamScheduler]]:
    for name, scheduler in _schedulers(runner):
        if isinstance(scheduler, ReduceOnPlateauParamScheduler):
            yield name, scheduler


def _watch(
    runner: Runner, scheduler: ReduceOnPlateauParamScheduler, monitor: str, rule: str
) -> None:
    """Let the config have its way when it was corrected since the checkpoint was saved."""
    if (scheduler.monitor, scheduler.rule) == (monitor, rule):
        return
    runner.logger.warning(
        f'The checkpoint waits for a plateau of {scheduler.monitor} ({scheduler.rule}), the config for '
        f'one of {monitor} ({rule}), which it starts to wait for now.'
    )
    scheduler.monitor = monitor
    scheduler._init_is_better(rule, scheduler.threshold, scheduler.threshold_rule)
    scheduler._reset()


def _check_plateau(runner: Runner, name: str, scheduler: ReduceOnPlateauParamScheduler) -> None:
    monitor, kind = scheduler.monitor, type(scheduler).__name__
    if runner.val_loop is None or monitor == 'loss':
        raise ValueError(
            f'{name} ({kind}) waits for {monitor}, which no validation gives: set its `monitor` to '
            "a metric of `val_evaluator`, such as 'coco/bbox_mAP', and its `rule` to greater or less."
        )
    try:
        rule = rule_of(monitor)
    except ValueError:
        return
    if rule != scheduler.rule:
        raise ValueError(
            f'{name} ({kind}) waits for {monitor} with rule={scheduler.rule!r}, so that it reduces '
            f'the rate while the metric improves: set rule={rule!r}.'
        )


def _warn_of_length(runner: Runner, name: str, scheduler: _ParamScheduler) -> None:
    unit, length = (
        ('epoch', runner.max_epochs) if scheduler.by_epoch else ('iteration', runner.max_iters)
    )
    spans = {'end': scheduler.end}
    if hasattr(scheduler, 'T_max'):
        spans['begin + T_max'] = scheduler.begin + scheduler.T_max
    for option, last in spans.items():
        if length < last < INF:
            runner.logger.warning(
                f'{name} ({type(scheduler).__name__}) runs to {unit} {last} (its `{option}`), but '
                f'training ends after {unit} {length}: the end of the schedule never comes; shorten '
                'it, or train longer.'
            )
            return
