"""Plots of learning rates and batch sizes."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmdet_ext.visualization.detection_plots import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    label_axes,
    new_figure,
)

from .batch_size import BatchSizes
from .learning_rate import LearningRateSweep


def plot_learning_rates(sweep: LearningRateSweep) -> Figure:
    """Plot the loss over the learning rate with the suggestions and the config's own rate."""
    figure, (axes,) = new_figure(width=7.5)
    axes.plot(sweep.rates, sweep.losses, color=GREY, alpha=0.5, linewidth=1, label='loss')
    axes.plot(sweep.rates, sweep.smoothed, color=BLUE, linewidth=2, label='smoothed')
    marks = {
        f'steepest: {sweep.steepest:.2g}': (sweep.steepest, GREEN, '-'),
        f'minimum / 10: {sweep.tenth_of_minimum:.2g}': (sweep.tenth_of_minimum, ORANGE, '-'),
        f'config: {sweep.current:.2g}': (sweep.current, RED, ':'),
    }
    for name, (rate, colour, style) in marks.items():
        axes.axvline(rate, color=colour, linestyle=style, linewidth=1.6, label=name)
    axes.set_xscale('log')
    seen = np.concatenate([sweep.smoothed[: sweep.smoothed.argmin() + 1], sweep.losses])
    low, high = np.percentile(seen, [2, 90])
    axes.set_ylim(low - 0.1 * (high - low), high + 0.2 * (high - low))  # the divergence leaves it
    label_axes(axes, 'Learning rate sweep', 'Learning rate', 'Loss')
    axes.legend(fontsize=8)
    return figure


def plot_batch_sizes(found: BatchSizes) -> Figure:
    """Plot throughput and memory over the batch size."""
    figure, (speed, memory) = new_figure(columns=2, width=5.6)
    sizes = np.array(sorted(found.seconds))
    speed.plot(sizes, list(found.throughput.values()), color=BLUE, marker='o')
    speed.axvline(found.fast_enough, color=GREEN, label=f'nearly the fastest: {found.fast_enough}')
    speed.set_ylim(0)
    label_axes(speed, 'Throughput of a training step', 'Batch size', 'Images / s')
    memory.plot(sizes, [found.memory[size] for size in sizes], color=BLUE, marker='o')
    memory.axhline(found.limit, color=RED, linestyle=':', label=f'limit: {found.limit:.3g} GiB')
    kind = ' (estimate)' if found.is_estimate else ''
    memory.axvline(found.largest, color=ORANGE, label=f'largest that fits: {found.largest}{kind}')
    if found.is_estimate:
        last = sizes[-1]
        ends = [found.memory[last], found.predicted_memory(found.largest)]
        memory.plot([last, found.largest], ends, color=BLUE, linestyle='--')
    memory.set_ylim(0)
    label_axes(memory, 'Memory of a training step', 'Batch size', 'GiB')
    for axes in (speed, memory):
        _log_sizes(axes, sizes)
        axes.legend(fontsize=8)
    return figure


def _log_sizes(axes: Axes, sizes: np.ndarray) -> None:
    axes.set_xscale('log', base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
