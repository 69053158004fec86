"""What optimizers and schedules give on parking slots: one training each, all with the same budget."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from math import isnan
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Group
from rich.table import Table

from mmdet_ext.apis.equal_trainings import metrics_of_training, spread_between_seeds
from mmdet_ext.apis.run import load_config
from mmdet_ext.utils.errors import did_you_mean
from mmdet_ext.utils.figures import png_of
from mmdet_ext.utils.files import write_whole
from mmdet_ext.visualization.detection_plots import BLUE, COLOURS, label_axes, new_figure

CONFIG = 'ext/psd_yolo.py'
METRICS = {'slot F1': 'slot/f1', 'slot AP': 'slot/ap', 'point AP': 'point/ap'}
"""Metrics by the heads of their columns."""
_CHOSEN_BY = 'slot AP'

OPTIMIZERS = {
    'SGD': dict(type='SGD', lr=0.1, weight_decay=1e-4),
    'momentum': dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4),
    'Nesterov': dict(type='SGD', lr=0.02, momentum=0.9, nesterov=True, weight_decay=1e-4),
    'Adagrad': dict(type='Adagrad', lr=0.01),
    'RMSprop': dict(type='RMSprop', lr=1e-3, alpha=0.9),
    'Adam': dict(type='Adam', lr=5e-3),
    'AdamW': dict(type='FusedAdamW', lr=5e-3, weight_decay=0.05),
    'NAdam': dict(type='NAdam', lr=5e-3),
}
"""Each with the middle one of the rates that are tried."""
FACTORS = (1 / 3, 1, 3)
"""Rates that are tried, as multiples of the middle one."""
SCHEDULES = ('cosine', 'constant', 'step', 'one-cycle', 'plateau')
_SCHEDULED = 'AdamW'


@dataclass
class Trial:
    """One optimizer at one rate with one schedule.

    Attributes:
        rate: Highest learning rate.
        metrics: By the names in :data:`METRICS`, one value per seed.
    """

    rate: float
    metrics: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in METRICS})

    def mean(self, name: str = _CHOSEN_BY) -> float:
        """Mean of a metric over the seeds; one that is not a number counts as 0."""
        return statistics.mean(0.0 if isnan(value) else value for value in self.metrics[name])


@dataclass
class OptimizerComparison:
    """What a comparison gave.

    Attributes:
        optimizers: By name a trial for each rate, lowest first, all with the cosine schedule.
        schedules: By name a trial, all with AdamW at its best rate.
    """

    optimizers: dict[str, list[Trial]]
    schedules: dict[str, Trial]

    def best(self, optimizer: str) -> Trial:
        """Trial of an optimizer with the highest slot AP."""
        return max(self.optimizers[optimizer], key=Trial.mean)


def compare_optimizers(
    out_dir: str | Path,
    optimizers: Iterable[str] | None = None,
    schedules: Iterable[str] | None = None,
    seeds: Sequence[int] = (0,),
    epochs: int = 8,
    images: int = 400,
    size: int = 128,
) -> OptimizerComparison:
    """Train the default detector with each optimizer at three rates, then AdamW with each schedule.

    All see the same images equally often, and warm up for a tenth of the steps, with one-cycle for three. A training that has ended is not repeated, one that was interrupted goes on.

    Args:
        out_dir: Folder for the trainings; ``results.json`` and ``results.png`` are written to it.
        optimizers: Names in :data:`OPTIMIZERS`. Defaults to all.
        schedules: Names in :data:`SCHEDULES`, for AdamW. Defaults to all, if AdamW is compared.
        seeds: Each is trained once with each.
        epochs: Of each training.
        images: Train on the first so many.
        size: Side of the network input in pixels, a multiple of 32.

    Returns:
        All trials.

    Raises:
        ValueError: An unknown name, schedules without AdamW, a size that is no multiple of 32, or a
            folder with results of another budget.
    """
    optimizers = list(OPTIMIZERS) if optimizers is None else list(optimizers)
    if schedules is None:
        schedules = SCHEDULES if _SCHEDULED in optimizers else ()
    schedules = list(schedules)
    _check(optimizers, schedules, size)
    train = _Trainings(Path(out_dir), seeds, epochs, images, size)
    result = OptimizerComparison({}, {})
    for name in optimizers:
        rates = [OPTIMIZERS[name]['lr'] * factor for factor in FACTORS]
        result.optimizers[name] = [train(name, rate, 'cosine') for rate in rates]
    for schedule in schedules:
        result.schedules[schedule] = train(_SCHEDULED, result.best(_SCHEDULED).rate, schedule)
    write_whole(train.folder / 'results.json', json.dumps(asdict(result), indent=1))
    write_whole(train.folder / 'results.png', png_of(plot_comparison(result)))
    return result


def schedule_of(name: str, epochs: int, iterations: int) -> list[dict[str, Any]]:
    """A ``param_scheduler``.

    Args:
        name: One of :data:`SCHEDULES`.
        epochs: Of the training.
        iterations: Of an epoch.

    Returns:
        Warm-up and what follows it; ``plateau`` needs a validation after each epoch. One-cycle (Smith
        and Topin, Super-Convergence, 2019) rises for three tenths of the steps. It is put together from
        two: what ``OneCycleLR`` puts into a checkpoint takes code to load.
    """
    steps = epochs * iterations
    warm_up, top = max(steps // 10, 1), max(3 * steps // 10, 1)
    start = dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warm_up)
    rise = dict(type='LinearLR', start_factor=0.04, by_epoch=False, begin=0, end=top)
    fall = dict(type='CosineAnnealingLR', T_max=steps - top, by_epoch=False, begin=top, end=steps)
    by_iteration = dict(by_epoch=True, convert_to_iter_based=True)
    milestones = [round(epochs * share) for share in (2 / 3, 8 / 9)]
    plateau = dict(monitor='slot/ap', rule='greater', factor=0.3, patience=0)
    return {
        'cosine': [start, dict(type='CosineAnnealingLR', T_max=epochs, end=epochs, **by_iteration)],
        'constant': [start],
        'step': [start, dict(type='MultiStepLR', milestones=milestones, gamma=0.1)],
        'one-cycle': [rise, fall],
        'plateau': [start, dict(type='ReduceOnPlateauLR', **plateau)],
    }[name]


def comparison_tables(result: OptimizerComparison) -> Group:
    """Results to print: each optimizer at its best rate, then the schedules.

    Args:
        result: As of :func:`compare_optimizers`.

    Returns:
        Two tables; captions say which differences are noise.
    """
    optimizers = _table('optimizer', 'best rate', f'{_CHOSEN_BY} by rate, lowest first')
    for name, trials in result.optimizers.items():
        best = result.best(name)
        by_rate = ', '.join(f'{trial.mean():.3f}' for trial in trials)
        optimizers.add_row(name, f'{best.rate:.2g}', by_rate, *_means(best))
    schedules = _table(f'schedule of {_SCHEDULED}')
    for name, trial in result.schedules.items():
        schedules.add_row(name, *_means(trial))
    for table, trials in (
        (optimizers, [result.best(name) for name in result.optimizers]),
        (schedules, list(result.schedules.values())),
    ):
        if trials:
            values = [trial.metrics[_CHOSEN_BY] for trial in trials]
            table.caption = spread_between_seeds(_CHOSEN_BY, values)
    return Group(*(table for table in (optimizers, schedules) if table.row_count))


def plot_comparison(result: OptimizerComparison) -> Figure:
    """Slot AP over the learning rate of each optimizer, and of each schedule.

    Args:
        result: As of :func:`compare_optimizers`.

    Returns:
        The figure.
    """
    figure, (rates, bars) = new_figure(columns=2)
    for (name, trials), colour in zip(result.optimizers.items(), COLOURS, strict=False):
        means = [trial.mean() for trial in trials]
        rates.plot([t.rate for t in trials], means, 'o-', color=colour, label=name, markersize=4)
    rates.set_xscale('log')
    rates.legend(fontsize=8, frameon=False)
    label_axes(rates, 'Optimizers, cosine schedule', 'Highest learning rate', _CHOSEN_BY)
    means = [trial.mean() for trial in result.schedules.values()]
    bars.barh(list(result.schedules), means, color=BLUE, height=0.6)
    bars.invert_yaxis()
    label_axes(bars, f'Schedules of {_SCHEDULED}', _CHOSEN_BY, '')
    return figure


class _Trainings:
    """Trainings with one budget, each in a folder of its own."""

    def __init__(
        self, folder: Path, seeds: Sequence[int], epochs: int, images: int, size: int
    ) -> None:
        self.folder, self.seeds, self.epochs = folder, seeds, epochs
        cfg = load_config(CONFIG)
        self.iterations = -(-images // cfg.train_dataloader.batch_size)
        self.options: dict[str, Any] = {
            'train_cfg.max_epochs': epochs,
            'train_cfg.val_interval': epochs,
            'train_dataloader.dataset.indices': images,
            # A rate that is too high shall get a bad figure, not end the comparison.
            'custom_hooks': [h for h in cfg.custom_hooks if h['type'] != 'NonFiniteGuardHook'],
            'val_evaluator': [cfg.val_evaluator[0]],
            'test_evaluator': [cfg.val_evaluator[0]],
        }
        for loader in ('train', 'val', 'test'):
            steps = cfg[f'{loader}_dataloader'].dataset.pipeline
            place = next(i for i, step in enumerate(steps) if step.type == 'ParkingSlotAffine')
            self.options[f'{loader}_dataloader.dataset.pipeline.{place}.size'] = (size, size)

    def __call__(self, optimizer: str, rate: float, schedule: str) -> Trial:
        trial = Trial(rate)
        options = {
            **self.options,
            'optim_wrapper.optimizer': dict(OPTIMIZERS[optimizer], lr=rate, _delete_=True),
            'param_scheduler': schedule_of(schedule, self.epochs, self.iterations),
        }
        if schedule == 'plateau':
            options['train_cfg.val_interval'] = 1
        for seed in self.seeds:
            folder = self.folder / f'{optimizer}_{rate:.2g}_{schedule}_seed{seed}'
            found = metrics_of_training(CONFIG, folder, {**options, 'randomness.seed': seed})
            for name, metric in METRICS.items():
                trial.metrics[name].append(found[metric])
        return trial


def _check(optimizers: Sequence[str], schedules: Sequence[str], size: int) -> None:
    for what, names, known in (
        ('optimizer', optimizers, list(OPTIMIZERS)),
        ('schedule', schedules, SCHEDULES),
    ):
        for name in names:
            if name not in known:
                raise ValueError(
                    f'Unknown {what} {name!r}{did_you_mean(name, known)}: expected one of '
                    f'{", ".join(known)}.'
                )
    if schedules and _SCHEDULED not in optimizers:
        raise ValueError(
            f'Schedules are compared with {_SCHEDULED} at its best rate: add it to the optimizers.'
        )
    if size <= 0 or size % 32:
        raise ValueError(f'The size is {size} pixels; give a multiple of 32.')


def _table(*columns: str) -> Table:
    table = Table(*columns, *METRICS)
    for column in table.columns[1:]:
        column.justify = 'right'
    return table


def _means(trial: Trial) -> list[str]:
    return [f'{trial.mean(name):.3f}' for name in METRICS]
