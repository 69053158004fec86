"""Curves of a training run in one picture."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .detection_plots import COLOURS, label_axes, new_grid

_UNITS = {'px': 'pixels', 'cm': 'centimetres', 'deg': 'degrees'}
_MOST_LINES = len(COLOURS)

Curve = tuple[np.ndarray, np.ndarray]


def plot_training_curves(
    training: Mapping[str, Curve], metrics: Mapping[str, Curve], step: str
) -> Figure:
    """Losses, learning rates and metrics, each kind on plots of its own.

    Args:
        training: Iterations ``(K,)`` and values ``(K,)`` by name, such as ``loss`` and ``lr``.
        metrics: Epochs or iterations ``(V,)`` and values ``(V,)`` by name, such as ``slot/f1``.
            Metrics of a part of the data (``slot/f1@night``) are left out.
        step: What metrics are given over, ``Epoch`` or ``Iteration``.

    Returns:
        The figure.
    """
    panels = _training_panels(training) | _metric_panels(metrics, step)
    figure, grid = new_grid(len(panels), 3, width=5.6, height=3.7)
    for axes, (title, (x, y, curves)) in zip(grid, panels.items(), strict=True):
        _draw(axes, curves)
        label_axes(axes, title, x, y)
        axes.xaxis.set_major_locator(MaxNLocator('auto', integer=True))
    return figure


def _training_panels(training: Mapping[str, Curve]) -> dict[str, tuple[str, str, dict]]:
    kinds: dict[str, dict[str, Curve]] = {'Losses': {}, 'Learning rates': {}}
    for name, curve in training.items():
        if name.rpartition('.')[2].endswith('lr'):
            kinds['Learning rates'][name] = curve
        elif 'loss' in name:
            kinds['Losses'][name] = _smoothed(curve)
        elif 'time' not in name and name != 'memory':
            kinds[name.replace('_', ' ').capitalize()] = {name: _smoothed(curve)}
    units = {'Losses': 'Loss', 'Learning rates': 'Learning rate'}
    return {
        title: ('Iteration', units.get(title, title), curves)
        for title, curves in kinds.items()
        if curves
    }


def _smoothed(curve: Curve, points: int = 400) -> Curve:
    """Means over equal stretches of iterations, at most so many."""
    steps, values = curve
    stretch = -(-len(values) // points) or 1
    starts = np.arange(0, len(values), stretch)
    counts = np.diff(np.append(starts, len(values)))
    if not len(values):
        return curve
    return np.add.reduceat(steps, starts) / counts, np.add.reduceat(values, starts) / counts


def _metric_panels(metrics: Mapping[str, Curve], step: str) -> dict[str, tuple[str, str, dict]]:
    panels: dict[str, tuple[str, str, dict]] = {}
    for name, curve in metrics.items():
        if '@' in name:
            continue
        prefix, _, short = name.rpartition('/')
        unit = _UNITS.get(short.rpartition('_')[2])
        if unit is None:
            known = curve[1][np.isfinite(curve[1])]
            unit = 'share' if (np.abs(known) <= 1).all() else short
        title = f'{prefix or "metrics"}: {unit}'
        panels.setdefault(title, (step, unit.capitalize(), {}))[2][short] = curve
    return {_named(title, list(panel[2])): panel for title, panel in panels.items()}


def _named(title: str, names: list[str]) -> str:
    return title if len(names) > 1 else f'{title.partition(":")[0]}: {names[0]}'


def _draw(axes: Axes, curves: Mapping[str, Curve]) -> None:
    # The total goes last and so on top of its parts.
    names = sorted(curves, key=lambda name: (name == 'loss', list(curves).index(name)))
    for i, name in enumerate(names):
        steps, values = curves[name]
        total = name == 'loss' and len(names) > 1
        axes.plot(
            steps,
            np.where(np.isfinite(values), values, np.nan),
            color='#23272e' if total else COLOURS[i % _MOST_LINES],
            linestyle='-' if i < _MOST_LINES or total else '--',
            linewidth=2.2 if total else 1.5,
            marker='o' if len(steps) < 12 else None,
            markersize=3.5,
            label=name,
        )
    if len(names) > 1:
        axes.legend(fontsize=7, ncols=1 + (len(names) > 6), framealpha=0.8)
    if all((values[np.isfinite(values)] > 0).all() for _, values in curves.values()):
        axes.autoscale_view()
        axes.set_ylim(0, axes.get_ylim()[1])


def columns_of(rows: Sequence[Mapping[str, float]], step: str) -> dict[str, Curve]:
    """Turn rows of a table into curves over one of its columns; cells may be missing.

    Args:
        rows: Figures by name.
        step: Name of the column that the curves are over.

    Returns:
        Steps and values by name.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    curves = {}
    for name in names:
        mine = [row for row in rows if name in row and step in row]
        steps = np.array([row[step] for row in mine], float)
        curves[name] = (steps, np.array([row[name] for row in mine], float))
    return curves
