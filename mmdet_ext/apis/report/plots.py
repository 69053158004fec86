"""The plots of a report, each with a sentence on how to read it."""

import numpy as np
from matplotlib.figure import Figure

from mmdet_ext.apis.report.figures import ReportFigures
from mmdet_ext.apis.report.inputs import ReportInputs
from mmdet_ext.evaluation.functional.calibration import reliability
from mmdet_ext.evaluation.functional.detection_matching import pooled
from mmdet_ext.evaluation.functional.outcomes import Outcome
from mmdet_ext.evaluation.functional.precision_recall import RECALL_GRID, average_precision
from mmdet_ext.evaluation.functional.threshold_curves import (
    area_under_roc,
    image_scores,
    roc_curve,
    threshold_curves,
)
from mmdet_ext.visualization.detection_plots import (
    plot_breakdown,
    plot_calibration,
    plot_classes,
    plot_confusion,
    plot_error_types,
    plot_histograms,
    plot_precision_recall,
    plot_roc,
    plot_thresholds,
)

_SENTENCES = {
    'precision_recall': 'Up and to the right is better; the curve ends where no lower score finds more '
    'truths.',
    'thresholds': 'Where to set the score threshold: the best F1 is marked.',
    'roc': 'Left: is there an object in the image at all? Right: are right predictions scored above '
    'wrong ones? Truths that were never predicted do not appear there.',
    'confusion': 'Each truth and each prediction is counted once; classes may differ in a match. Last '
    'column: missed truths. Last row: false alarms.',
    'errors': 'TIDE error types (Bolya et al., 2020). Localisation: overlaps too little. Both: wrong '
    'class and too little. Duplicate: the truth was already taken. Background: overlaps nothing.',
    'localisation': 'Errors of right predictions from the threshold on; the last bar holds the largest '
    'hundredth.',
    'calibration': 'If scores are calibrated, the bars end at the dashed line: of predictions scored '
    '0.8, 80 % are right.',
    'classes': 'Which classes to work on.',
    'breakdown': 'Sizes as in COCO: small below 32 x 32 pixels, large above 96 x 96.',
}


def report_plots(inputs: ReportInputs, figures: ReportFigures) -> dict[str, tuple[Figure, str]]:
    """Draw all plots.

    Args:
        inputs: Predictions and truths.
        figures: Their figures.

    Returns:
        Plots, and sentences on how to read them, by the names of their files.
    """
    whole = pooled([figures.outcomes[name] for name in inputs.classes])
    iou, score = f'IoU ≥ {figures.iou_threshold:g}', f'score ≥ {figures.threshold:.3f}'
    plots = {
        'precision_recall': plot_precision_recall(_precision_recall(inputs, figures), iou),
        'thresholds': _thresholds(whole),
        'roc': plot_roc(_roc(inputs, whole)),
        'confusion': plot_confusion(
            figures.confusion, inputs.classes, f'Confusion at {score}, {iou}'
        ),
        'errors': plot_error_types(figures.gains, figures.error_counts, figures.threshold),
        'localisation': plot_histograms(figures.localisation, figures.units),
    }
    if np.isfinite(figures.overall['calibration_error']):
        plots['calibration'] = _calibration(figures, whole)
    if len(inputs.classes) > 1:
        plots['classes'] = plot_classes({row['name']: row['ap'] for row in figures.classes})
    plots['breakdown'] = plot_breakdown(figures.groups, figures.threshold)
    return {name: (plot, _SENTENCES[name]) for name, plot in plots.items()}


def _precision_recall(
    inputs: ReportInputs, figures: ReportFigures
) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    curves = {}
    for name, outcome in figures.outcomes.items():
        curve = threshold_curves(outcome)
        grid = RECALL_GRID if name in inputs.classes else None  # as ParkingSlotMetric has it
        area = average_precision(outcome.scores, outcome.hits, outcome.num_truths, grid)
        curves[name] = (curve['recall'], curve['precision'], area)
    return curves


def _thresholds(whole: Outcome) -> Figure:
    curves = threshold_curves(whole)
    best = curves['threshold'][curves['f1'].argmax()] if len(curves['f1']) else float('nan')
    return plot_thresholds(curves, best, 'Precision, recall and F1, all classes together')


def _roc(inputs: ReportInputs, whole: Outcome) -> dict[str, tuple[dict, float, str]]:
    sources = {
        'ROC of images': (
            *image_scores(inputs.detections, inputs.truths, len(inputs.images)),
            'images without an object',
        ),
        'ROC of predictions': (whole.scores, whole.hits, 'predictions that match no truth'),
    }
    return {
        title: (roc_curve(scores, positive), area_under_roc(scores, positive), negatives)
        for title, (scores, positive, negatives) in sources.items()
    }


def _calibration(figures: ReportFigures, whole: Outcome) -> Figure:
    diagram = reliability(whole.scores, whole.hits)
    right, wrong = whole.scores[whole.hits], whole.scores[~whole.hits]
    return plot_calibration(diagram, figures.overall['calibration_error'], right, wrong)
