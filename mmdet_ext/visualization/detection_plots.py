"""Plots of a detection report: matplotlib figures of plain arrays, made without a display."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, GREY = '#2f6fb7', '#e08214', '#3a9d5d', '#c8453b', '#8a8f98'
COLOURS = (
    BLUE,
    ORANGE,
    GREEN,
    RED,
    '#7b5ea7',
    '#8c6d46',
    '#d26fa8',
    '#5f6670',
    '#a8a934',
    '#2aa6b8',
)
_MOST_LINES = len(COLOURS)
_MOST_CELLS = 25  # classes up to which a confusion matrix has numbers in its cells


def new_figure(
    rows: int = 1, columns: int = 1, width: float = 6.4, height: float = 4.4
) -> tuple[Figure, np.ndarray]:
    """Make a figure with a grid of plots, all in one style.

    Args:
        rows: Rows of plots.
        columns: Columns of plots.
        width: Of one plot in inches.
        height: Of one plot in inches.

    Returns:
        The figure and its axes, ``(rows * columns,)``.
    """
    figure = Figure(figsize=(width * columns, height * rows), dpi=110, layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for each in axes:
        each.grid(color='#e4e6ea', linewidth=0.8)
        each.set_axisbelow(True)
        each.spines[['top', 'right']].set_visible(False)
        each.tick_params(labelsize=9)
    return figure, axes


def new_grid(
    count: int, most_columns: int, width: float, height: float
) -> tuple[Figure, np.ndarray]:
    """Make a figure with ``count`` plots in rows of at most ``most_columns``; see :func:`new_figure`."""
    columns = max(min(most_columns, count), 1)
    figure, axes = new_figure(max(-(-count // columns), 1), columns, width, height)
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def label_axes(axes: Axes, title: str, x: str, y: str) -> None:
    """Write the title of a plot and the labels of its axes, units included."""
    axes.set_title(title, fontsize=11, loc='left', fontweight='bold')
    axes.set_xlabel(x, fontsize=10)
    axes.set_ylabel(y, fontsize=10)


def _unit_square(axes: Axes) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.02))


def plot_precision_recall(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray, float]], rule: str
) -> Figure:
    """Precision over recall, one line per class.

    Args:
        curves: Recall ``(K,)``, precision ``(K,)`` and AP by name; of many, the worst are coloured.
        rule: When a prediction is right, for the title.

    Returns:
        The figure.
    """
    figure, (axes,) = new_figure(width=7.6, height=5)
    for name, colour in _colours({name: curve[2] for name, curve in curves.items()}).items():
        recall, precision, value = curves[name]
        if not len(recall):
            recall, precision = np.zeros(1), np.zeros(1)
        line = dict(color=colour, linewidth=1.8, label=f'{_short(name)}   AP {value:.3f}')
        if colour == GREY:
            line = dict(color=GREY, linewidth=0.6, alpha=0.6)
        # The curve starts at the axis and ends with a drop, as the area under it has it.
        x, y = np.concatenate([[0], recall]), np.append(precision[:1], precision)
        axes.plot(x, y, drawstyle='steps-pre', **line)
    _unit_square(axes)
    label_axes(axes, f'Precision and recall, {rule}', 'Recall', 'Precision')
    _legend(axes, len(curves))
    return figure


def _colours(values: Mapping[str, float]) -> dict[str, str]:
    """Colour of each name; of more names than colours, the lowest values get one and come last."""
    names = [name for name in values if np.isfinite(values[name])]
    if len(names) > _MOST_LINES:
        names = sorted(names, key=lambda name: -values[name])
    grey = dict.fromkeys(names[: max(len(names) - _MOST_LINES, 0)], GREY)
    return grey | dict(zip(names[len(grey) :], COLOURS, strict=False))


def _legend(axes: Axes, count: int) -> None:
    if axes.get_legend_handles_labels()[0]:
        title = f'the {_MOST_LINES} worst of {count}' if count > _MOST_LINES else None
        axes.legend(fontsize=9, title=title, loc='lower left', framealpha=0.9)


def _short(name: str) -> str:
    return name if len(name) <= 28 else f'{name[:27]}…'


def plot_thresholds(curves: Mapping[str, np.ndarray], threshold: float, title: str) -> Figure:
    """Precision, recall and F1 over the score threshold, the best F1 marked.

    Args:
        curves: ``threshold``, ``precision``, ``recall`` and ``f1``, each ``(K,)``.
        threshold: To mark, NaN for none.
        title: Of the plot.

    Returns:
        The figure.
    """
    figure, (axes,) = new_figure(width=7.6)
    shown = (('precision', BLUE), ('recall', ORANGE), ('f1', GREEN))
    for name, colour in shown:
        label = 'F1' if name == 'f1' else name.capitalize()
        axes.plot(curves['threshold'], curves[name], color=colour, linewidth=1.8, label=label)
    if np.isfinite(threshold):
        at = np.abs(curves['threshold'] - threshold).argmin()
        axes.axvline(threshold, color=GREY, linewidth=1, linestyle='--')
        for name, colour in shown:
            axes.plot(threshold, curves[name][at], 'o', color=colour, markersize=6)
        values = [f'{curves[name][at]:.3f}' for name in ('f1', 'precision', 'recall')]
        title += '\nbest F1 {} at score {:.3f} (precision {}, recall {})'.format(
            values[0], threshold, *values[1:]
        )
    axes.set_ylim(0, 1.02)
    label_axes(axes, title, 'Score threshold', 'Precision, recall, F1')
    if len(curves['threshold']):
        axes.legend(fontsize=9)
    return figure


def plot_roc(curves: Mapping[str, tuple[Mapping[str, np.ndarray], float, str]]) -> Figure:
    """Receiver operating characteristics beside each other.

    Args:
        curves: By title: rates of ``roc_curve``, AUC and what the negatives are.

    Returns:
        The figure.
    """
    figure, grid = new_figure(1, len(curves), width=5.2, height=4.9)
    for axes, (title, (curve, area, negatives)) in zip(grid, curves.items(), strict=True):
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle='--', label='by chance: 0.5')
        x, y = curve['false_positive_rate'], curve['true_positive_rate']
        axes.plot(x, y, color=BLUE, linewidth=1.8, label=f'AUC {area:.3f}')
        axes.fill_between(x, y, color=BLUE, alpha=0.08)
        _unit_square(axes)
        axes.set_aspect('equal')
        label_axes(axes, title, f'False positive rate\n({negatives})', 'True positive rate')
        axes.legend(fontsize=9, loc='lower right')
        if not np.isfinite(area):
            _say(axes, 'needs both positives and negatives')
    return figure


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha='center', color=GREY, fontsize=10)


def plot_confusion(matrix: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Confusion matrix: numbers are counts.

    Colours are shares of a row, in the row of the background of a column: what was found of the
    truths of a class, and what of its predictions are false alarms.

    Args:
        matrix: Rows truths, columns predictions, background last, ``(C + 1, C + 1)``.
        classes: C names.
        title: Of the plot.

    Returns:
        The figure.
    """
    names = [*map(_short, classes), 'background']
    side = float(np.clip(2.6 + 0.62 * len(names), 4.6, 14))
    figure, (axes,) = new_figure(width=side + 1.2, height=side)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    shares[-1] = matrix[-1] / np.maximum(matrix.sum(0), 1)
    picture = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    axes.grid(False)
    figure.colorbar(
        picture, ax=axes, shrink=0.75, label='Share of the row; last row: of the column'
    )
    size = float(np.clip(190 / len(names), 4, 10))
    axes.set_xticks(range(len(names)), names, rotation=45, ha='right', fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    if len(classes) <= _MOST_CELLS:
        for (i, j), count in np.ndenumerate(matrix):
            text = '' if i == j == len(classes) else f'{count:,}'
            ink = 'white' if shares[i, j] > 0.55 else '#30343a'
            axes.text(j, i, text, ha='center', va='center', color=ink, fontsize=size)
    label_axes(axes, title, 'Predicted class', 'True class')
    return figure


def plot_error_types(
    gains: Mapping[str, float], counts: Mapping[str, int], threshold: float
) -> Figure:
    """What average precision is lost to, and how many errors there are at a threshold.

    Args:
        gains: Gain of AP per type, in [0, 1].
        counts: Number of errors per type.
        threshold: Score from which they are counted.

    Returns:
        The figure.
    """
    figure, (left, right) = new_figure(1, 2, width=5.8, height=3.9)
    points = {name.replace('_', ' '): 100 * gain for name, gain in gains.items()}
    colours = [GREY if 'false' in name else BLUE for name in points]
    _bars(left, points, colours, '{:.1f}')
    label_axes(
        left, 'AP that mending each type would add', 'Gain of AP at IoU 0.5, points of 100', ''
    )
    _bars(right, counts, [ORANGE] * len(counts), '{:,.0f}')
    label_axes(
        right, f'Errors among predictions of score ≥ {threshold:.3f}', 'Number of errors', ''
    )
    return figure


def _bars(axes: Axes, values: Mapping[str, float], colours: Sequence[str], text: str) -> None:
    heights = np.nan_to_num(list(values.values()))
    bars = axes.barh(range(len(values)), heights, color=colours, height=0.7)
    axes.bar_label(bars, [text.format(v) for v in values.values()], fontsize=9, padding=3)
    axes.set_yticks(range(len(values)), map(_short, values))
    axes.invert_yaxis()
    axes.margins(y=0.02)
    axes.grid(axis='y', visible=False)
    axes.set_xlim(0, max(heights.max(initial=0) * 1.15, 1e-3))


def plot_calibration(
    diagram: Mapping[str, np.ndarray], error: float, right: np.ndarray, wrong: np.ndarray
) -> Figure:
    """Reliability diagram beside the distribution of scores.

    Args:
        diagram: Of ``reliability``.
        error: Expected calibration error.
        right: Scores of matched predictions, ``(P,)``.
        wrong: Scores of the others, ``(Q,)``.

    Returns:
        The figure.
    """
    figure, (left, right_axes) = new_figure(1, 2, width=5.4, height=4.6)
    _draw_reliability(left, diagram)
    label_axes(left, f'Calibration: ECE {error:.3f}', 'Score', 'Precision')
    right_axes.hist(
        [right, wrong],
        np.linspace(0, 1, 41),
        stacked=True,
        color=[GREEN, RED],
        label=['right', 'wrong'],
    )
    right_axes.set_yscale('symlog', linthresh=10)
    title = 'Scores of right and wrong predictions'
    label_axes(right_axes, title, 'Score', 'Predictions (logarithmic)')
    right_axes.legend(fontsize=9)
    return figure


def _draw_reliability(axes: Axes, diagram: Mapping[str, np.ndarray]) -> None:
    edges, precision = diagram['edges'], diagram['precision']
    axes.bar(
        edges[:-1],
        np.nan_to_num(precision),
        np.diff(edges),
        align='edge',
        color=BLUE,
        alpha=0.75,
        edgecolor='white',
        label='precision of predictions with such a score',
    )
    axes.plot([0, 1], [0, 1], '--', color=RED, linewidth=1.4, label='perfectly calibrated')
    axes.plot(diagram['confidence'], precision, 'o', color=ORANGE, markersize=5, label='mean score')
    _unit_square(axes)
    axes.legend(fontsize=8, loc='upper left')


def plot_histograms(values: Mapping[str, np.ndarray], labels: Mapping[str, str]) -> Figure:
    """Histograms of errors of matched predictions, with their medians.

    The largest hundredth is put into the last bar.

    Args:
        values: By title, ``(N,)`` each; NaN is left out.
        labels: Label of the horizontal axis, with the unit, by title.

    Returns:
        The figure.
    """
    figure, grid = new_grid(len(values), 3, width=4.5, height=3.3)
    for axes, (title, numbers) in zip(grid, values.items(), strict=True):
        known = numbers[np.isfinite(numbers)]
        label_axes(axes, title, labels[title], 'Matches')
        if not len(known):
            _say(axes, 'no matches')
            continue
        low, high = known.min(), np.quantile(known, 0.99)
        axes.hist(known.clip(low, high), 30, color=BLUE, alpha=0.85)
        median = np.median(known)
        axes.axvline(median, color=RED, linewidth=1.4, label=f'median {median:.3g}')
        axes.plot(
            [],
            [],
            ' ',
            label='90 % from {:.3g} to {:.3g}'.format(*np.quantile(known, [0.05, 0.95])),
        )
        axes.legend(fontsize=9)
    return figure


def plot_classes(values: Mapping[str, float], most: int = 40) -> Figure:
    """Average precision of each class, worst first.

    Args:
        values: AP by class, NaN for classes without truths.
        most: Bars; of more classes the worst are shown.

    Returns:
        The figure.
    """
    known = sorted((value, name) for name, value in values.items() if np.isfinite(value))[:most]
    figure, (axes,) = new_figure(width=7.6, height=1.4 + 0.26 * max(len(known), 3))
    _bars(axes, {name: value for value, name in known}, [BLUE] * len(known), '{:.3f}')
    axes.set_xlim(0, 1.1)
    worst = f', the {most} worst of {len(values)} classes' if len(values) > most else ''
    label_axes(axes, f'Average precision per class{worst}', 'AP at IoU 0.50 to 0.95', '')
    return figure


def plot_breakdown(groups: Mapping[str, Sequence[Mapping[str, float]]], threshold: float) -> Figure:
    """Precision, recall and F1 within groups: sizes, distances, conditions.

    Args:
        groups: By kind, rows with ``name``, ``truths``, ``precision``, ``recall`` and ``f1``; NaN
            where a figure is not defined.
        threshold: Score from which predictions count.

    Returns:
        The figure.
    """
    figure, grid = new_grid(len(groups), 2, width=6.4, height=3.5)
    shown = (('precision', BLUE), ('recall', ORANGE), ('f1', GREEN))
    for axes, (kind, rows) in zip(grid, groups.items(), strict=True):
        for k, (name, colour) in enumerate(shown):
            heights = np.array([row[name] for row in rows], float)
            places = np.arange(len(rows)) + (k - 1) * 0.27
            bars = axes.bar(
                places, np.nan_to_num(heights), 0.25, color=colour, label=name.replace('f1', 'F1')
            )
            if len(rows) <= 6:
                texts = [f'{h:.2f}' if np.isfinite(h) else '' for h in heights]
                axes.bar_label(bars, texts, fontsize=7, padding=1)
        ticks = [f'{_short(str(row["name"]))}\n{row["truths"]:,} truths' for row in rows]
        axes.set_xticks(range(len(rows)), ticks, fontsize=8, rotation=0 if len(rows) <= 5 else 30)
        axes.grid(axis='x', visible=False)
        axes.set_ylim(0, 1.12)
        label_axes(axes, f'By {kind}, score ≥ {threshold:.3f}', '', 'Precision, recall, F1')
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=9, ncols=3, loc='outside upper right')
    return figure
