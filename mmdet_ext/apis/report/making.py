"""Writing the folder of a report."""

import csv
import json
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from mmdet_ext.apis.report import page
from mmdet_ext.apis.report.figures import ReportFigures, compute_figures, table_rows
from mmdet_ext.apis.report.gallery import Gallery
from mmdet_ext.apis.report.inputs import ReportInputs, read_inputs
from mmdet_ext.apis.report.parking import add_parking_figures, has_slots, slot_overlaps
from mmdet_ext.apis.report.plots import report_plots
from mmdet_ext.datasets.coco_file import CocoFile
from mmdet_ext.evaluation.functional.detections import find_overlaps
from mmdet_ext.utils.figures import png_of
from mmdet_ext.utils.files import write_whole

_TILES = ('images', 'truths', 'ap', 'ap50', 'precision', 'recall', 'f1', 'threshold', 'mean_iou')


def make_report(
    results: str | Path | Sequence[Mapping[str, Any]],
    ann_file: str | Path,
    out_dir: str | Path,
    *,
    images: str | Path | None = None,
    classes: Sequence[str] | None = None,
    iou_threshold: float = 0.5,
    score_threshold: float | None = None,
    pictures: int = 12,
    title: str = 'Detection report',
) -> dict[str, float]:
    """Write ``report.html``, ``results.json``, ``results.csv`` and the plots as PNG files.

    Predictions of any detector are judged by their boxes, those of a parking-slot detector on
    parking-slot COCO by their quadrilaterals, besides the figures of ``ParkingSlotMetric``.

    Args:
        results: File of ``tools/test.py --out`` (``DumpDetResults``), or what it holds.
        ann_file: COCO file of the data that were predicted.
        out_dir: Folder to write; is made.
        images: Folder of the images; by default where they were predicted, or beside ``ann_file``.
        classes: Classes of the model, if the COCO file has more than these.
        iou_threshold: Least overlap of a right prediction, above 0.1.
        score_threshold: Score from which predictions count in the figures that need one; by default
            that of the best F1 over all classes.
        pictures: Number of worst and of best images in the gallery.
        title: Of the page.

    Returns:
        Headline figures by name.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: An option is out of range, a file is not what it should be, or the two do not
            fit together.
    """
    if not 0.1 < iou_threshold <= 1:
        raise ValueError(
            f'The IoU threshold is {iou_threshold:g}; expected above 0.1 and at most 1.'
        )
    inputs = read_inputs(results, ann_file, classes)
    slots = has_slots(inputs)
    overlaps = slot_overlaps(inputs) if slots else find_overlaps(inputs.detections, inputs.truths)
    figures = compute_figures(inputs, overlaps, iou_threshold, score_threshold)
    if slots:
        add_parking_figures(inputs, figures)
    folder = Path(out_dir)
    plots = {
        name: (png_of(figure), text)
        for name, (figure, text) in report_plots(inputs, figures).items()
    }
    for name, (png, _) in plots.items():
        write_whole(folder / f'{name}.png', png)
    write_whole(folder / 'results.csv', _csv(figures))
    write_whole(folder / 'results.json', _json(inputs, figures))
    write_whole(folder / 'report.html', _page(inputs, figures, plots, title, images, pictures))
    return figures.overall | figures.parking


def report_source(dataset: Any, name: str) -> tuple[str, list[str] | None]:
    """Find the COCO file of a data set, and those of the model's classes that it has.

    Args:
        dataset: Of a test dataloader.
        name: Of the config, for the error.

    Returns:
        Arguments ``ann_file`` and ``classes`` of :func:`make_report`.

    Raises:
        ValueError: The data set is not read from one COCO file.
    """
    while hasattr(dataset, 'dataset'):  # a wrapper such as RepeatDataset
        dataset = dataset.dataset
    ann_file = str(getattr(dataset, 'ann_file', ''))
    if not ann_file.endswith('.json'):
        raise ValueError(
            f'{name} tests on a {type(dataset).__name__} with the annotation file {ann_file!r}, but a '
            'report is made from one COCO file: write the predictions with --out and give it to '
            'tools/analysis/report.py.'
        )
    known = {str(c.get('name')) for c in CocoFile(ann_file).content.get('categories', ())}
    classes = dataset.metainfo.get('classes')
    return ann_file, classes and [each for each in classes if each in known]


def _csv(figures: ReportFigures) -> str:
    rows = list(table_rows(figures))
    names = list(dict.fromkeys(name for row in rows for name in row))
    target = StringIO()
    writer = csv.DictWriter(target, names, lineterminator='\n')
    writer.writeheader()
    writer.writerows(
        {name: '' if _is_nan(value) else value for name, value in row.items()} for row in rows
    )
    return target.getvalue()


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and not np.isfinite(value)


def _json(inputs: ReportInputs, figures: ReportFigures) -> str:
    content = {
        'ann_file': str(inputs.ann_file),
        'iou_threshold': figures.iou_threshold,
        'score_threshold': figures.threshold,
        'notes': inputs.notes,
        'overall': figures.overall,
        'classes': figures.classes,
        'groups': figures.groups,
        'confusion_matrix': {
            'classes': [*inputs.classes, 'background'],
            'rows_are_truths': figures.confusion.tolist(),
        },
        'errors': {'ap_gains': figures.gains, 'counts': figures.error_counts},
        'parking_slot_metric': figures.parking,
    }
    return json.dumps(_plain(content), indent=1, allow_nan=False)


def _plain(value: Any) -> Any:
    """What JSON can hold: NaN becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if _is_nan(value) else value


def _page(
    inputs: ReportInputs,
    figures: ReportFigures,
    plots: Mapping[str, tuple[bytes, str]],
    title: str,
    folder: str | Path | None,
    pictures: int,
) -> str:
    gallery = Gallery(inputs, figures, folder, figures.parking.get('point/threshold', 0.3))
    worst, best = gallery.worst(pictures), gallery.best(pictures)
    notes = [*inputs.notes, *gallery.notes()]
    parts = [
        page.paragraph(_summary(inputs, figures)),
        *(page.paragraph(note, 'note') for note in notes),
        _tiles(figures),
        page.section('Classes', page.table(figures.classes), page.paragraph(_DEFINITIONS, 'quiet')),
        page.section('Parking slots', _parking_table(figures)),
        page.section('Curves and errors', *(page.plot(*each) for each in plots.values())),
        *(page.section(f'By {kind}', page.table(rows)) for kind, rows in figures.groups.items()),
        page.section('Worst images', page.gallery(worst)),
        page.section('Best images', page.gallery(best)),
    ]
    return page.page(title, parts)


_DEFINITIONS = (
    'Precision, recall and F1 are read at the score of the best F1 of each class. AP is the area under '
    'the precision-recall curve (101 steps, as COCO); AUC the area under the ROC curve: of predictions, '
    'how well the score tells right from wrong ones; of images, how well the best score tells images '
    'with an object from those without.'
)


def _summary(inputs: ReportInputs, figures: ReportFigures) -> str:
    what = 'quadrilaterals' if figures.parking else 'boxes'
    return (
        f'{figures.overall["predictions"]:,} predictions on {len(inputs.images):,} images of '
        f'{inputs.ann_file}. A prediction is right if its class is and the {what} overlap by an IoU of '
        f'at least {figures.iou_threshold:g}; each truth takes one prediction, best score first. '
        f'Where a threshold is needed, predictions count from a score of {page.shown(figures.threshold)}.'
    )


def _tiles(figures: ReportFigures) -> str:
    tiles = [page.tile(page.TITLES.get(name, name), figures.overall[name]) for name in _TILES]
    tiles += [
        page.tile(f'{name} of {kind}s within 10 px', figures.parking[f'{key}/{name.lower()}'])
        for key, kind in (('slot', 'slot'), ('point', 'marking point'))
        for name in ('F1', 'AP')
        if f'{key}/f1' in figures.parking
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


_PARKING_TITLES = {'ap': 'AP', 'f1': 'F1', 'map_polygon': 'mAP of quadrilaterals'}


def _parking_table(figures: ReportFigures) -> str:
    """Figures of ParkingSlotMetric: a table per kind of object, a row per condition."""
    parts = []
    for kind, name in (('slot', 'Slots'), ('point', 'Marking points')):
        rows: dict[str, dict[str, Any]] = {}
        for key, value in figures.parking.items():
            figure, _, group = key.removeprefix(f'{kind}/').partition('@')
            if key.startswith(f'{kind}/') and figure != 'threshold':
                rows.setdefault(group, {'name': group or 'all'})[figure] = value
        if rows:
            score = page.shown(figures.parking[f'{kind}/threshold'])
            parts.append(
                page.heading(f'{name} within 10 px of a 600-pixel-high image, at score ≥ {score}')
            )
            parts.append(page.table(list(rows.values()), _PARKING_TITLES))
    return ''.join(parts)
