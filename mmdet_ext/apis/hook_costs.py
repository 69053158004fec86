"""What the hooks of a config cost in each iteration."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.table import Table

from mmdet_ext.apis.run import build_runner, load_config

_STAGES = ('before_train_iter', 'after_train_iter')


@dataclass
class HookCosts:
    """Times in seconds.

    Attributes:
        iteration: Median of a whole iteration, hooks and data included.
        hooks: Mean over the iterations, by the name of the hook's class.
    """

    iteration: float
    hooks: dict[str, float] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """All hooks, as a share of the iteration."""
        return sum(self.hooks.values()) / self.iteration


def measure_hook_costs(
    config: str, iterations: int = 50, cfg_options: Mapping[str, Any] | None = None
) -> HookCosts:
    """Train for some iterations, and measure what each hook does before and after them.

    Means, not medians, as some hooks work in few iterations only. What hooks do between epochs is not
    counted, nor what they put into the model or the optimizer.

    Args:
        config: A config file, or the name of one of ours.
        iterations: How many, all in one epoch; the first five do not count.
        cfg_options: Values that override the config's.

    Returns:
        The times.

    Raises:
        ValueError: The epoch has fewer iterations.
    """
    with TemporaryDirectory() as folder:
        cfg = load_config(config, cfg_options, work_dir=folder)
        runner = build_runner(cfg)
        clock = _Clock(iterations)
        length = len(runner.train_dataloader)
        if length < iterations + clock.warm_up:
            raise ValueError(
                f'an epoch of {config} has {length} iterations: give at most {length - clock.warm_up}.'
            )
        for hook in runner.hooks:
            clock.watch(hook)
        runner.register_hook(clock, priority='VERY_LOW')
        try:
            runner.train()
        except _EnoughError:
            return clock.costs()
    raise AssertionError('the training ended before the measurement did')


def costs_table(costs: HookCosts) -> Table:
    """Times to print, the dearest hook first.

    Args:
        costs: As of :func:`measure_hook_costs`.

    Returns:
        The table.
    """
    table = Table('hook', 'ms per iteration', 'share')
    for column in table.columns[1:]:
        column.justify = 'right'
    for name, seconds in sorted(costs.hooks.items(), key=lambda item: -item[1]):
        table.add_row(name, f'{seconds * 1e3:.3f}', f'{seconds / costs.iteration:.2%}')
    table.caption = f'All: {costs.share:.2%} of an iteration of {costs.iteration * 1e3:.0f} ms.'
    return table


class _EnoughError(Exception):
    pass


class _Clock(Hook):
    warm_up = 5

    def __init__(self, iterations: int) -> None:
        self.iterations, self.begins = iterations, []
        self.spent: dict[str, float] = {}

    def watch(self, hook: Hook) -> None:
        for stage in _STAGES:
            setattr(hook, stage, self._timed(type(hook).__name__, getattr(hook, stage)))

    def _timed(self, name: str, method: Callable) -> Callable:
        def timed(*args: Any, **kwargs: Any) -> None:
            begin = time.perf_counter()
            method(*args, **kwargs)
            if len(self.begins) > self.warm_up:
                self.spent[name] = self.spent.get(name, 0) + time.perf_counter() - begin

        return timed

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        self.begins.append(time.perf_counter())
        if len(self.begins) > self.warm_up + self.iterations:
            raise _EnoughError

    def costs(self) -> HookCosts:
        begins = self.begins[self.warm_up :]
        times = [after - before for before, after in pairwise(begins)]
        means = {name: spent / len(times) for name, spent in self.spent.items()}
        return HookCosts(statistics.median(times), means)
