"""The results of a benchmark as a table, a plot and a file."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from mmdet_ext.deploy.benchmark import Timing, reference_of
from mmdet_ext.utils.tables import table_of

_PARTS = {'prepare': 'tab:gray', 'run': 'tab:blue', 'finish': 'tab:orange'}
_HEADINGS = (
    *('model', 'runtime', 'precision', 'threads', 'batch', 'load', 'first', 'prepare', 'run'),
    *('finish', 'latency', 'quartiles', 'images/s', 'x'),
)


def timing_rows(timings: Sequence[Timing]) -> list[dict[str, Any]]:
    """Timings as plain values, medians in milliseconds per batch, by heading."""
    return [dict(zip(_HEADINGS, _row(timing, timings), strict=True)) for timing in timings]


def _row(timing: Timing, timings: Sequence[Timing]) -> tuple:
    candidate, reference = timing.candidate, reference_of(timing, timings)
    parts = [float(np.median(getattr(timing, name))) for name in _PARTS]
    return (
        *(candidate.model, candidate.runtime, candidate.precision, timing.threads, timing.batch),
        *(timing.load, timing.first, *parts, timing.latency, timing.spread, timing.throughput),
        timing.times_faster(reference) if reference else None,
    )


def timing_table(timings: Sequence[Timing], markdown: bool = False) -> Table:
    """Timings as a table to print.

    Args:
        timings: Of :func:`~mmdet_ext.deploy.benchmark.benchmark_engines`.
        markdown: As Markdown.

    Returns:
        The table.
    """
    sides = ['left' if i < 3 else 'right' for i in range(len(_HEADINGS))]
    table = table_of(zip(_HEADINGS, sides, strict=True), markdown)
    for row in timing_rows(timings):
        table.add_row(*map(_text, row.values()))
    return table


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return '-'.join(map(_text, value))
    if isinstance(value, float):
        return f'{value:.2f}' if value < 10 else f'{value:,.0f}' if value > 100 else f'{value:.1f}'
    return '' if value is None else str(value)


def timing_figure(timings: Sequence[Timing]) -> Figure:
    """Draw latencies of the smallest batch by part, and throughputs over the batch sizes.

    Args:
        timings: Of :func:`~mmdet_ext.deploy.benchmark.benchmark_engines`.

    Returns:
        A figure. References are not drawn, being far off; numbers say how many times faster others are.
    """
    own = [timing for timing in timings if not timing.candidate.is_reference]
    smallest = [timing for timing in own if timing.batch == min(each.batch for each in own)]
    figure = Figure(figsize=(14, 2.5 + 0.32 * len(smallest)), layout='constrained')
    bars, lines = figure.subplots(1, 2)
    _draw_latencies(bars, smallest, timings)
    _draw_throughputs(lines, own)
    return figure


def _draw_latencies(axes: Axes, shown: Sequence[Timing], timings: Sequence[Timing]) -> None:
    places, left = np.arange(len(shown)), np.zeros(len(shown))
    for part, colour in _PARTS.items():
        widths = np.array([np.median(getattr(timing, part)) for timing in shown])
        axes.barh(places, widths, left=left, color=colour, label=part)
        left += widths
    for place, timing in zip(places, shown, strict=True):
        low, high = timing.spread
        axes.plot([low, high], [place, place], color='black', linewidth=1)
        reference = reference_of(timing, timings)
        faster = f', {timing.times_faster(reference):.1f} x' if reference else ''
        end = max(timing.latency, high)
        text = f'{timing.latency:.1f}{faster}'
        axes.annotate(text, (end, place), (4, 0), textcoords='offset points', va='center')
    axes.set_yticks(places, [f'{_engine(t)}, {_threads(t)}' for t in shown])
    axes.invert_yaxis()
    axes.margins(x=0.3)
    axes.set(xlabel=f'ms for a batch of {shown[0].batch}: median and quartiles')
    axes.legend(fontsize='small', ncols=3, loc='lower center', bbox_to_anchor=(0.5, 1))


def _draw_throughputs(axes: Axes, timings: Sequence[Timing]) -> None:
    colours = {name: f'C{i}' for i, name in enumerate(dict.fromkeys(map(_engine, timings)))}
    styles = dict(
        zip(sorted({t.threads for t in timings}), cycle(('-', '--', ':', '-.')), strict=False)
    )
    series: dict[tuple[str, int], list[Timing]] = {}
    for timing in timings:
        series.setdefault((_engine(timing), timing.threads), []).append(timing)
    for (name, threads), points in series.items():
        x, y = [p.batch for p in points], [p.throughput for p in points]
        style = dict(color=colours[name], linestyle=styles[threads], marker='.')
        axes.plot(x, y, label=f'{name}, {_threads(points[0])}', **style)
    sizes = sorted({timing.batch for timing in timings})
    axes.set(xscale='log', xlabel='batch size', ylabel='images/s', ylim=(0, None))
    axes.set_xticks(sizes, map(str, sizes))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize='small', loc='center left', bbox_to_anchor=(1, 0.5))


def _engine(timing: Timing) -> str:
    candidate = timing.candidate
    return f'{candidate.model}, {candidate.runtime} {candidate.precision}'


def _threads(timing: Timing) -> str:
    return f'{timing.threads} thread' + ('s' if timing.threads > 1 else '')
