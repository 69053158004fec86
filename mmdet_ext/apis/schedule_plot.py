"""Learning rates and momenta of a training, before it starts: numbers and a plot."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.optim.scheduler.param_scheduler import ReduceOnPlateauParamScheduler
from mmengine.registry import init_default_scope
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from mmdet_ext.apis.run import load_config
from mmdet_ext.engine.optimizers.learning_rate_scaling import count_accumulation
from mmdet_ext.utils.errors import explained_config_errors
from mmdet_ext.utils.figures import png_of
from mmdet_ext.utils.files import write_whole
from mmdet_ext.visualization.detection_plots import COLOURS, GREY, label_axes, new_grid


@dataclass
class Schedule:
    """What each iteration of a training uses.

    Attributes:
        rates: Learning rates ``(T,)`` by the parts of the model that they are for.
        momenta: Momenta ``(T,)``, or first betas, likewise; empty without any.
        epoch_length: Iterations of an epoch.
        by_epoch: Whether the training counts epochs.
        waiting: What only the validations decide, which is not in the numbers.
    """

    rates: dict[str, np.ndarray]
    momenta: dict[str, np.ndarray]
    epoch_length: int
    by_epoch: bool
    waiting: list[str]


def trace_schedule(cfg: Config, epoch_length: int | None = None) -> Schedule:
    """Let the schedules of a config run without data.

    Model, optimizer and schedules are built by mmengine's Runner in the order in which it trains.

    Args:
        cfg: A config; stays as it is.
        epoch_length: Iterations of an epoch; by default those of the training data, or of the
            ``synthetic_data`` that are to be made.

    Returns:
        The schedule.

    Raises:
        ValueError: There are several optimizers, or no data and no ``epoch_length``.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    length = epoch_length or _epoch_length(cfg)
    with TemporaryDirectory() as folder, explained_config_errors(cfg):
        runner = _runner(copy.deepcopy(cfg), length, folder)
        wrapper = runner.optim_wrapper
        names = _merge_groups(runner.model, wrapper)
        runner.scale_lr(wrapper, runner.auto_scale_lr)
        schedulers = cfg.get('param_scheduler') or []
        runner.param_schedulers = runner.build_param_scheduler(schedulers) if schedulers else []
        by_epoch = not isinstance(runner.train_loop, IterBasedTrainLoop)
        rates, momenta = _run(runner, length if by_epoch else runner.max_iters)
    waiting = [
        f'param_scheduler[{i}] ({type(each).__name__}) waits for {each.monitor}: drawn as if that '
        'got better each time.'
        for i, each in enumerate(runner.param_schedulers)
        if isinstance(each, ReduceOnPlateauParamScheduler)
    ]
    named = [
        dict(zip(names, values.T, strict=True)) if np.isfinite(values).all() else {}
        for values in (rates, momenta)
    ]
    return Schedule(*named, length, by_epoch, waiting)


def plot_schedules(schedules: Mapping[str, Schedule]) -> Figure:
    """Plot learning rates, and momenta where they change, over epochs or iterations.

    Args:
        schedules: As of :func:`trace_schedule`, by the title of their plots.

    Returns:
        The figure.
    """
    panels = []
    for title, schedule in schedules.items():
        panels.append((title, schedule, 'Learning rate', schedule.rates))
        if any(np.ptp(values) > 0 for values in schedule.momenta.values()):
            panels.append((title, schedule, 'Momentum', schedule.momenta))
    figure, grid = new_grid(len(panels), 3, width=5.2, height=3.4)
    for axes, (title, schedule, name, curves) in zip(grid, panels, strict=True):
        _draw(axes, curves, schedule.epoch_length if schedule.by_epoch else 1)
        label_axes(axes, title, 'Epoch' if schedule.by_epoch else 'Iteration', name)
    waiting = '\n'.join(line for schedule in schedules.values() for line in schedule.waiting)
    if waiting:
        figure.supxlabel(waiting, fontsize=8, color=GREY, x=0.01, ha='left')
    return figure


def schedule_report(
    configs: Sequence[str],
    out: str | None = None,
    *,
    epoch_length: int | None = None,
    cfg_options: Mapping | None = None,
) -> str:
    """Plot the schedules of configs.

    Args:
        configs: Config files, or names of ours.
        out: The PNG file; by default ``schedule.png`` in the first config's work folder.
        epoch_length: See :func:`trace_schedule`.
        cfg_options: Values that override the configs'.

    Returns:
        First, highest and last rates, and the file's name.
    """
    schedules, lines = {}, []
    for config in configs:
        cfg = load_config(config, cfg_options)
        out = out or str(Path(cfg.work_dir) / 'schedule.png')
        schedule = schedules[Path(config).stem] = trace_schedule(cfg, epoch_length)
        lines += [
            f'{Path(config).stem}, {name}: {rates[0]:.3g} at first, at most {rates.max():.3g} (from '
            f'iteration {rates.argmax()}), {rates[-1]:.3g} at last (iteration {len(rates) - 1})'
            for name, rates in schedule.rates.items()
        ]
        lines += schedule.waiting
    write_whole(Path(out), png_of(plot_schedules(schedules)))
    return '\n'.join([*lines, out])


def _epoch_length(cfg: Config) -> int:
    try:
        return len(Runner.build_dataloader(copy.deepcopy(cfg.train_dataloader), seed=0))
    except FileNotFoundError as error:
        wanted = cfg.get('synthetic_data')
        images = wanted.get('splits', {}).get('train') if isinstance(wanted, Mapping) else None
        if not images:
            raise ValueError(
                f'how long an epoch is cannot be counted without the training data ({error}): say it '
                'with --epoch-length ITERATIONS.'
            ) from error
        return -(-images // cfg.train_dataloader.batch_size)


def _runner(cfg: Config, length: int, folder: str) -> Runner:
    """A runner with all that its training would have built before the schedules."""
    batch_size = cfg.train_dataloader.batch_size
    runner = Runner(
        model=cfg.model,
        work_dir=folder,
        train_dataloader=DataLoader(range(length * batch_size), batch_size=batch_size),
        train_cfg=dict(cfg.train_cfg),
        optim_wrapper=cfg.optim_wrapper,
        auto_scale_lr=cfg.get('auto_scale_lr'),
        default_scope=cfg.get('default_scope', 'mmdet'),
        log_level='ERROR',
        experiment_name=f'schedule_{Path(folder).name}',
    )
    count_accumulation(runner)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    if isinstance(runner.optim_wrapper, OptimWrapperDict):
        raise ValueError(
            f'the config has {len(runner.optim_wrapper)} optimizers: the schedule of one can be drawn.'
        )
    return runner


def _merge_groups(model: nn.Module, wrapper: OptimWrapper) -> list[str]:
    """Leave one parameter group of those with the same rate and momentum; what parts they are of."""
    parts = {id(value): name.partition('.')[0] for name, value in model.named_parameters()}
    merged: dict[tuple, tuple[dict, dict]] = {}
    for group in wrapper.optimizer.param_groups:
        key = group['lr'], _momentum(group)
        names = dict.fromkeys(parts.get(id(value), 'other') for value in group['params'])
        merged.setdefault(key, (group, {}))[1].update(names)
    wrapper.optimizer.param_groups[:] = [group for group, _ in merged.values()]
    alone = len(merged) == 1
    labels = ['all parameters' if alone else ', '.join(names) for _, names in merged.values()]
    counts = [labels[:i].count(label) for i, label in enumerate(labels)]
    return [f'{label} ({n + 1})' if n else label for label, n in zip(labels, counts, strict=True)]


def _momentum(group: Mapping) -> float:
    return group['betas'][0] if 'betas' in group else group.get('momentum', np.nan)


def _run(runner: Runner, epoch_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Rates and momenta ``(iterations, groups)``, as ParamSchedulerHook would have them change."""
    groups = runner.optim_wrapper.optimizer.param_groups
    rates = np.empty((runner.max_iters, len(groups)))
    momenta = np.empty_like(rates)
    schedulers = [
        each
        for each in runner.param_schedulers
        if not isinstance(each, ReduceOnPlateauParamScheduler)
    ]
    runner.optim_wrapper.optimizer.step()  # of nothing, without gradients: schedulers miss it
    for i in range(runner.max_iters):
        rates[i] = [group['lr'] for group in groups]
        momenta[i] = [_momentum(group) for group in groups]
        is_last = (i + 1) % epoch_length == 0
        for scheduler in schedulers:
            if not scheduler.by_epoch or is_last:
                scheduler.step()
    return rates, momenta


def _draw(axes: Axes, curves: Mapping[str, np.ndarray], unit: int) -> None:
    for i, (name, values) in enumerate(curves.items()):
        steps = np.arange(len(values)) / unit
        axes.plot(steps, values, color=COLOURS[i % len(COLOURS)], linewidth=1.8, label=name)
    axes.set_ylim(0)
    if len(curves) > 1:
        axes.legend(fontsize=8)
