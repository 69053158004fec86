"""Weighted box fusion of the result files of several detectors."""

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.models.utils import weighted_boxes_fusion
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmdet_ext.apis.result_files import ResultFile, read_result_file
from mmdet_ext.datasets.coco_file import CocoFile
from mmdet_ext.evaluation.functional.coco import coco_average_precision
from mmdet_ext.utils.errors import did_you_mean
from mmdet_ext.utils.files import write_whole
from mmdet_ext.utils.parallel import track_map

SCORE_MODES = ('avg', 'max', 'box_and_model_avg', 'absent_model_aware_avg')
_METRICS = ('mAP', 'mAP_50', 'mAP_75')

Candidates = tuple[list[list[list[float]]], list[list[float]], list[list[int]]]
"""Boxes, scores and labels in one image, each a list per model."""


@dataclass
class FusionReport:
    """What a fusion gave.

    Attributes:
        rows: For each file and for the fusion ``name``, ``weight``, ``images``, what was found and metrics:
            of boxes ``detections`` and, with annotations, ``mAP``, ``mAP_50`` and ``mAP_75``.
        warnings: Sentences about what was left out and about how the files differ.
    """

    rows: list[dict[str, Any]]
    warnings: list[str] = field(default_factory=list)

    @property
    def table(self) -> Table:
        """The rows, to print."""
        table = Table()
        keys = list(self.rows[0])
        for key in keys:
            table.add_column(key, justify='left' if key == 'name' else 'right')
        for row in self.rows:
            table.add_row(*(_cell(key, row.get(key)) for key in keys))
        return table


def _cell(key: str, value: Any) -> str:
    if value is None:
        return ''
    if key in _METRICS or '/' in key:
        return f'{value:.4f}'
    return value if isinstance(value, str) else f'{value:,}'


def fuse_boxes(
    boxes: Sequence[Sequence[Sequence[float]]],
    scores: Sequence[Sequence[float]],
    labels: Sequence[Sequence[int]],
    weights: Sequence[float],
    iou_threshold: float = 0.55,
    skip_threshold: float = 0.0,
    score_mode: str = 'avg',
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fuse what several models found in one image.

    Solovyev, Wang and Gabruseva: Weighted boxes fusion: Ensembling boxes from different object detection
    models, Image and Vision Computing 2021, arXiv:1910.13302. Computed by mmdet's
    ``weighted_boxes_fusion``, which turns boxes of score 0 into NaN (they are left out here) and may give
    scores above 1 when weights differ (cut to 1 here).

    Args:
        boxes: For each model ``x1 y1 x2 y2`` of its boxes, finite and of positive size.
        scores: Their scores, from 0 to 1.
        labels: Their classes.
        weights: Of the models, positive.
        iou_threshold: Boxes of a class are fused that overlap more than this.
        skip_threshold: Boxes that score less are left out.
        score_mode: How scores are fused: ``'avg'``, the mean, times the share of the models if fewer boxes
            than models were fused; ``'max'``; ``'box_and_model_avg'``, by the weights of boxes and models;
            ``'absent_model_aware_avg'``, the mean in which models without a box count as 0.

    Returns:
        Boxes ``(K, 4)``, scores ``(K,)``, best first, and labels ``(K,)``.
    """
    kept = [[0 < score >= skip_threshold for score in each] for each in scores]
    boxes, scores, labels = (
        [[v for v, k in zip(*pair, strict=True) if k] for pair in zip(values, kept, strict=True)]
        for values in (boxes, scores, labels)
    )
    fused, fused_scores, fused_labels = weighted_boxes_fusion(
        boxes, scores, labels, list(weights), iou_threshold, skip_threshold, score_mode
    )
    return (
        fused.numpy().reshape(-1, 4),
        fused_scores.numpy().clip(max=1),
        fused_labels.numpy().astype(np.int64),
    )


def fuse_results(
    files: Sequence[str | Path],
    out: str | Path,
    *,
    weights: Sequence[float] | None = None,
    iou_threshold: float = 0.55,
    skip_threshold: float = 0.0,
    score_mode: str = 'avg',
    annotations: str | Path | None = None,
    classes: Sequence[str] | None = None,
    num_workers: int | None = None,
) -> FusionReport:
    """Fuse the detections of several models and write them as COCO results.

    Args:
        files: Result files, see :func:`read_result_file`.
        out: JSON file to write.
        weights: One per file; by default all count the same.
        iou_threshold: See :func:`fuse_boxes`, as for ``skip_threshold`` and ``score_mode``.
        skip_threshold: Boxes that score less are left out.
        score_mode: One of :data:`SCORE_MODES`.
        annotations: COCO file of the images, to print the average precision of each file and of the
            fusion (of at most 100 boxes per image, as COCO has it).
        classes: Classes of the models behind pickles, if the COCO file has more than these.
        num_workers: Processes; by default one per core.

    Returns:
        Figures of each file and of the fusion.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: An option is out of range, a file is not what it should be, or they do not fit together.
    """
    files = [Path(file) for file in files]
    weights = checked_weights(files, weights)
    check_files(files, Path(out))
    _check_options(iou_threshold, skip_threshold, score_mode)
    results = [read_result_file(file, annotations, classes) for file in files]
    truth = None if annotations is None else CocoFile(annotations)
    report = FusionReport([], [note for result in results for note in result.notes])
    report.warnings += _differences(results)
    if truth is not None:
        _check_against(truth, results)
    fuse = partial(_fuse_candidates, options=(weights, iou_threshold, skip_threshold, score_mode))
    images, categories, candidates = _by_image(results)
    fused = track_map(fuse, candidates, 'Fusing', num_workers=num_workers, chunksize=16)
    entries = [
        {'image_id': image, 'category_id': categories[label], 'bbox': box, 'score': score}
        for image, found in zip(images, fused, strict=True)
        for box, score, label in found
    ]
    write_whole(out, json.dumps(entries))
    report.rows = _rows(results, weights, entries, truth)
    return report


def checked_weights(files: Sequence[Path], weights: Sequence[float] | None) -> list[float]:
    """Weights of files: as given, or 1 each.

    Raises:
        ValueError: Their number is not that of the files, or one is not positive.
    """
    weights = [1.0] * len(files) if weights is None else [float(weight) for weight in weights]
    if len(weights) != len(files):
        raise ValueError(
            f'{len(weights)} weights are given for {len(files)} result files; give one for each.'
        )
    if not all(0 < weight < float('inf') for weight in weights):
        raise ValueError(f'The weights are {weights}; give positive numbers, or leave a file out.')
    return weights


def check_files(files: Sequence[Path], out: Path) -> None:
    """Check that files can be fused into another.

    Raises:
        ValueError: There are less than two, one is given twice, or is to be written over.
    """
    if len(files) < 2:
        raise ValueError(f'{len(files)} result file is given; a fusion needs at least two.')
    resolved = [file.resolve() for file in files]
    for i, file in enumerate(resolved):
        if file in resolved[:i]:
            raise ValueError(f'{files[i]} is given twice; give it once, with a larger weight.')
    if out.resolve() in resolved:
        raise ValueError(f'{out} is a file to fuse; write to another.')


def _check_options(iou_threshold: float, skip_threshold: float, score_mode: str) -> None:
    for name, value in (('IoU', iou_threshold), ('skip', skip_threshold)):
        if not 0 <= value < 1:
            raise ValueError(f'The {name} threshold is {value}; give a number from 0 to below 1.')
    if score_mode not in SCORE_MODES:
        raise ValueError(
            f'There is no score mode {score_mode!r}{did_you_mean(score_mode, SCORE_MODES)}; give one of '
            f'{", ".join(SCORE_MODES)}.'
        )


def _differences(results: Sequence[ResultFile]) -> list[str]:
    """Sentences on images and categories that only some files have.

    Raises:
        ValueError: A file has none in common with the others.
    """
    notes = []
    for what, sets in (
        ('images', [result.known_images for result in results]),
        ('categories', [set(result.categories) for result in results]),
    ):
        everything = set().union(*sets)
        for i, (result, own) in enumerate(zip(results, sets, strict=True)):
            others = set().union(*sets[:i], *sets[i + 1 :])
            if not own & others:
                raise ValueError(
                    f'{result.path} has no {what} in common with the other files (it has '
                    f'{_some(own)}, they have {_some(others)}); give results on the same data.'
                )
            if own < everything:
                notes.append(
                    f'{result.path} has no detections for {len(everything - own):,} of the '
                    f'{len(everything):,} {what} (such as {_some(everything - own)}): what the others '
                    'found there is fused as if it had missed it.'
                )
    return notes


def _some(ids: set[Hashable]) -> str:
    shown = sorted(ids, key=lambda key: (isinstance(key, str), key))[:3]
    return ', '.join(map(str, shown)) + (', ...' if len(ids) > 3 else '')


def _check_against(truth: CocoFile, results: Sequence[ResultFile]) -> None:
    known = {
        'image': {image['id'] for image in truth.images},
        'category': {category['id'] for category in truth.content.get('categories', ())},
    }
    for result in results:
        for what, used in (('image', result.images), ('category', result.categories)):
            strays = set(used) - known[what]
            if strays:
                raise ValueError(
                    f'{result.path}: {len(strays):,} {what} ids are not in {truth.path}, such as '
                    f'{_some(strays)}; give the COCO file that the results were predicted on.'
                )


def _by_image(
    results: Sequence[ResultFile],
) -> tuple[list[Hashable], list[Hashable], list[Candidates]]:
    """Ids of the images, ids of the categories by label, and the candidates of each image."""
    images = list(dict.fromkeys(chain.from_iterable(result.images for result in results)))
    categories = list(dict.fromkeys(chain.from_iterable(r.categories for r in results)))
    rows = {key: row for row, key in enumerate(images)}
    labels = {key: label for label, key in enumerate(categories)}
    parts = []
    for result in results:
        places = np.array([rows[key] for key in result.images])
        order = places.argsort(kind='stable')
        bounds = np.searchsorted(places[order], np.arange(1, len(images)))
        label = np.array([labels[key] for key in result.categories])
        columns = (result.boxes, result.scores, label)
        parts.append([np.split(column[order], bounds) for column in columns])
    return (
        images,
        categories,
        [
            tuple([part[column][row].tolist() for part in parts] for column in range(3))
            for row in range(len(images))
        ],
    )


def _fuse_candidates(
    candidates: Candidates, options: tuple[list[float], float, float, str]
) -> list[tuple[list[float], float, int]]:
    """COCO's box ``x y width height``, score and label of each fused box."""
    boxes, scores, labels = fuse_boxes(*candidates, *options)
    boxes = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).astype(np.float64).round(3)
    return list(zip(boxes.tolist(), scores.tolist(), labels.tolist(), strict=True))


def _rows(
    results: Sequence[ResultFile],
    weights: Sequence[float],
    fused: list[dict],
    truth: CocoFile | None,
) -> list[dict[str, Any]]:
    rows = [
        {
            'name': str(result.path),
            'weight': weight,
            'images': len(result.known_images),
            'detections': len(result.images),
        }
        for result, weight in zip(results, weights, strict=True)
    ]
    images = len({entry['image_id'] for entry in fused})
    rows.append({'name': 'fused', 'weight': None, 'images': images, 'detections': len(fused)})
    if truth is not None:
        everything = [*map(_entries, results), fused]
        console = Console(stderr=True)
        for i, entries in enumerate(track(everything, 'Evaluating', console=console)):
            rows[i] |= _average_precision(truth, entries)
    return rows


def _entries(result: ResultFile) -> list[dict]:
    boxes = np.hstack([result.boxes[:, :2], result.boxes[:, 2:] - result.boxes[:, :2]]).tolist()
    columns = (result.images, result.categories, boxes, result.scores.tolist())
    return [
        {'image_id': image, 'category_id': category, 'bbox': box, 'score': score}
        for image, category, box, score in zip(*columns, strict=True)
    ]


def _average_precision(truth: CocoFile, entries: list[dict]) -> dict[str, float]:
    annotations = [
        {'iscrowd': 0, 'area': entry['bbox'][2] * entry['bbox'][3]} | entry
        for entry in truth.content.get('annotations', ())
    ]
    content = truth.content | {'annotations': annotations}
    ids = [image['id'] for image in truth.images]
    figures = coco_average_precision(content, entries, 'bbox', ids)
    return {name: figures[name] for name in _METRICS}
