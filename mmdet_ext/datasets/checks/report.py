"""The diagnosis as one HTML file that needs nothing beside it, or its figure as a PNG."""

import base64
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmdet_ext.datasets.checks.diagnosis import (
    Diagnosis,
    overview,
    preprocessor_line,
    verdict,
)
from mmdet_ext.utils.figures import png_of
from mmdet_ext.utils.files import write_whole

_COLUMNS = 3
_EACH_END = 10
"""Classes that are drawn of the largest and of the smallest where there are many."""

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Data set check</title><style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 76em; color: #222; }}
table {{ border-collapse: collapse; margin: 1em 0; }}
td, th {{ padding: .35em .7em; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }}
td {{ overflow-wrap: anywhere; }}
.error {{ color: #b00020; font-weight: 600; }} .warning {{ color: #9a5b00; font-weight: 600; }}
.note {{ color: #555; }} img {{ max-width: 100%; }}
</style></head><body>
<h1>Data set check</h1>
<p><b>{verdict}</b></p>
{overview}
{findings}
{lines}
<img alt="Statistics of the labels and images" src="data:image/png;base64,{figure}">
</body></html>
"""


def write_report(path: str | Path, diagnosis: Diagnosis) -> None:
    """Write what was found.

    Args:
        path: File ending in ``.html`` (everything) or ``.png`` (the figure); folders are made.
        diagnosis: What was found.

    Raises:
        ValueError: The file ends otherwise.
    """
    check_report_path(path)
    picture = png_of(draw_statistics(diagnosis), dpi=110)
    write_whole(path, picture if Path(path).suffix == '.png' else _page(diagnosis, picture))


def check_report_path(path: str | Path) -> None:
    """Refuse a report file of an unknown kind before the work is done.

    Args:
        path: File to write.

    Raises:
        ValueError: It ends neither in ``.html`` nor in ``.png``.
    """
    if Path(path).suffix not in ('.html', '.png'):
        raise ValueError(f'the report is to be {path}: give it a name ending in .html or .png.')


def _page(diagnosis: Diagnosis, picture: bytes) -> str:
    rows = [
        (
            f'<span class="{finding.severity}">{finding.severity}</span>',
            escape(finding.source),
            escape(finding.statement),
            escape(finding.example),
            escape(finding.remedy),
        )
        for finding in diagnosis.findings
    ]
    lines = list(diagnosis.not_checked)
    colours = preprocessor_line(diagnosis)
    if colours:
        lines.append(f'Colours of all images, for the data_preprocessor: {colours}')
    files = [tuple(map(escape, row)) for row in overview(diagnosis)]
    return _PAGE.format(
        verdict=escape(verdict(diagnosis)),
        overview=_table(('File', 'Images', 'Objects', 'Marking points'), files),
        findings=_table(('', 'Where', 'What', 'First', 'Remedy'), rows) if rows else '',
        lines=''.join(f'<p>{escape(line)}</p>' for line in lines),
        figure=base64.b64encode(picture).decode(),
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [''.join(f'<td>{cell}</td>' for cell in row) for row in rows]
    header = ''.join(f'<th>{cell}</th>' for cell in head)
    body = ''.join(f'<tr>{row}</tr>' for row in cells)
    return f'<table><tr>{header}</tr>{body}</table>'


def draw_statistics(diagnosis: Diagnosis) -> Figure:
    """Draw the statistics of all splits, one panel each.

    Args:
        diagnosis: What was found.

    Returns:
        The figure; panels that have nothing to show are left out.
    """
    panels = _panels(diagnosis)
    rows = max(-(-len(panels) // _COLUMNS), 1)
    figure = Figure(figsize=(5 * _COLUMNS, 3.6 * rows), layout='constrained')
    for i, (title, draw) in enumerate(panels):
        axes = figure.add_subplot(rows, _COLUMNS, i + 1)
        axes.set_title(title)
        draw(axes)
    return figure


def _panels(diagnosis: Diagnosis) -> list[tuple[str, Callable[[Axes], None]]]:
    names = _short_names([split.file.path for split in diagnosis.splits])
    labels = diagnosis.statistics
    panels = []
    if any(any(part.class_counts.values()) for part in labels):
        panels.append(('Objects per class', lambda axes: _draw_classes(axes, names, labels)))
    units = {part.unit for part in labels if len(part.depths)}
    unit = units.pop() if len(units) == 1 else 'm or px of 600'
    histograms = (
        ('Labels per image', 'number', [part.labels_per_image for part in labels], False),
        ('Size of boxes', 'square root of the area [px]', [p.box_sizes for p in labels], True),
        ('Width of entrances', f'[{unit}]', [part.entrance_widths for part in labels], False),
        ('Depth of slots', f'[{unit}]', [part.depths for part in labels], False),
        (
            'Angle of slots',
            'at the left of the entrance [degrees]',
            [p.angles for p in labels],
            False,
        ),
        ('Brightness of images', 'mean grey value', _brightness(diagnosis), False),
    )
    for title, axis, values, logarithmic in histograms:
        if any(map(len, values)):
            panels.append(
                (
                    title,
                    lambda axes, axis=axis, values=values, logarithmic=logarithmic: _draw_histogram(
                        axes, names, values, axis, logarithmic
                    ),
                )
            )
    positions = np.concatenate([part.positions for part in labels] or [np.zeros((0, 2))])
    if len(positions):
        points = any(split.file.marking_points for split in diagnosis.splits)
        title = 'Where marking points lie' if points else 'Where boxes have their centre'
        panels.append((title, lambda axes: _draw_heat_map(axes, positions, _shape(diagnosis))))
    return panels


def _brightness(diagnosis: Diagnosis) -> list[np.ndarray]:
    surveys = [split.survey for split in diagnosis.splits]
    return [np.zeros(0) if s is None else s.brightness[s.read] for s in surveys]


def _draw_classes(axes: Axes, names: Sequence[str], labels: Sequence) -> None:
    totals = {}
    for part in labels:
        for name, count in part.class_counts.items():
            totals[name] = totals.get(name, 0) + count
    classes = sorted(totals, key=totals.get, reverse=True)
    if len(classes) > 2 * _EACH_END:
        axes.set_title(f'Objects of the {_EACH_END} largest and smallest of {len(classes)} classes')
        classes = classes[:_EACH_END] + classes[-_EACH_END:]
    height = 0.8 / len(labels)
    for i, (name, part) in enumerate(zip(names, labels, strict=True)):
        counts = [part.class_counts.get(category, 0) for category in classes]
        bars = axes.barh(np.arange(len(classes)) + i * height, counts, height, label=name)
        if len(classes) <= _EACH_END:
            axes.bar_label(bars, [f' {count:,}' for count in counts], fontsize=8)
    axes.set_yticks(
        np.arange(len(classes)) + 0.4 - height / 2,
        classes,
        fontsize=10 if len(classes) <= _EACH_END else 7,
    )
    axes.invert_yaxis()
    axes.margins(x=0.15)
    _legend(axes, names, loc='lower right')


def _draw_histogram(
    axes: Axes, names: Sequence[str], values: Sequence[np.ndarray], axis: str, logarithmic: bool
) -> None:
    everything = np.concatenate(values)
    low, high = np.percentile(everything, (0.1, 99.9))  # an outlier is for the findings
    if logarithmic:
        bins = np.geomspace(max(low, 1), max(high, 1.1 * low, 2), 41)
        axes.set_xscale('log')
    elif everything.dtype.kind == 'i' and high - low < 60:
        bins = np.arange(low, high + 2) - 0.5
    else:
        bins = np.linspace(low, max(high, low + 1e-3), 41)
    for name, part in zip(names, values, strict=True):
        if len(part):
            weights = np.full(len(part), 100 / len(part))  # splits differ in size
            axes.hist(
                np.clip(part, bins[0], bins[-1]), bins, weights=weights, histtype='step', label=name
            )
    axes.set(xlabel=axis, ylabel='share [%]')
    _legend(axes, names)


def _draw_heat_map(axes: Axes, positions: np.ndarray, shape: tuple[float, float]) -> None:
    width, height = shape
    bins = [max(round(60 * size / max(shape)), 8) for size in shape]
    counts, _, _ = np.histogram2d(*positions.T, bins, [[0, 1], [0, 1]])
    image = axes.imshow(counts.T, extent=(0, width, height, 0), cmap='viridis')
    axes.set(xlabel='x [px]', ylabel='y [px]')
    axes.figure.colorbar(image, ax=axes, label='labels')


def _shape(diagnosis: Diagnosis) -> tuple[float, float]:
    """Median size of the images, which the heat map is drawn in."""
    sizes = np.concatenate([split.file.sizes for split in diagnosis.splits])
    return tuple(np.nanmedian(sizes, axis=0))


def _legend(axes: Axes, names: Sequence[str], loc: str = 'best') -> None:
    if len(names) > 1:
        axes.legend(fontsize=8, loc=loc)


def _short_names(paths: Sequence[Path]) -> list[str]:
    """File names, with their folders where they would be the same."""
    names = [path.name for path in paths]
    same = len(set(names)) < len(names)
    return [f'{path.parent.name}/{path.name}' for path in paths] if same else names
