"""Pseudo-labels: confident predictions on unlabelled images, written as labels to train on.

Lee, Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks,
2013.
"""

import pickle
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.fileio import load
from rich.table import Table

from mmdet_ext.datasets.formats.detection_coco import DetectionImage, write_detection_coco
from mmdet_ext.datasets.formats.reader import ReadReport
from mmdet_ext.utils.errors import did_you_mean
from mmdet_ext.utils.files import parse_json


def export_pseudo_labels(
    predictions: str | Path,
    images: str | Path,
    out: str | Path,
    score: float,
    *,
    class_scores: Mapping[str, float] = {},
    classes: Sequence[str] | None = None,
    evaluated_on: Sequence[str | Path] = (),
    evaluation_set_allowed: bool = False,
) -> Table:
    """Write the boxes of predictions that score high enough as a COCO file.

    Args:
        predictions: What ``tools/test.py --out`` wrote, ``.pkl``. Trusted: unpickling runs code.
        images: COCO file of the images predicted on, the ``ann_file`` of that test; ``file_name`` and
            the categories are taken over, so that ``out`` goes with the same ``data_root``.
        out: COCO file to write.
        score: Least score of a box, in [0, 1].
        class_scores: Least score for some classes instead.
        classes: Classes of the model in ``metainfo`` if these are not all categories of ``images``.
        evaluated_on: COCO files that models are evaluated on; or configs (``.py``), whose validation
            and test data are meant.
        evaluation_set_allowed: Go on although ``images`` are evaluated on.

    Returns:
        Boxes written and left out per class.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The images have labels, so that they may be evaluated on, or are in
            ``evaluated_on``; or a file, a score or a class does not fit.
    """
    content, report = _load_coco(images), ReadReport()
    if not evaluation_set_allowed:
        _refuse_evaluation_images(Path(images), content, evaluated_on, report)
    categories = [category['name'] for category in content['categories']]
    names = _model_classes(categories, classes, images)
    thresholds = _thresholds(names, score, class_scores)
    samples = _load_predictions(predictions)
    counts: dict[str, Counter] = {'written': Counter(), 'below the score': Counter()}
    entries = {entry['id']: entry for entry in content['images']}
    records = [
        _record(sample, _entry(sample, entries, images), names, thresholds, counts, report)
        for sample in samples
    ]
    description = f'pseudo-labels of {Path(predictions).name} for {Path(images).name}'
    written = write_detection_coco(out, records, description, categories, report)
    counts['written'] = _written(written)
    _count_images(written, len(entries), report)
    return _summary(f'{predictions} -> {out}', names, thresholds, counts, report)


def _load_coco(path: str | Path) -> dict:
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path} not found; expected a COCO file.')
    try:
        content = parse_json(path)
    except ValueError as error:
        raise ValueError(f'{path}: not valid JSON ({error}); write the file again.') from error
    for key in ('images', 'categories'):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f'{path}: no list `{key}` found; expected a COCO file.')
    return content


def _refuse_evaluation_images(
    path: Path, content: dict, evaluated_on: Sequence[str | Path], report: ReadReport
) -> None:
    remedy = (
        'a model that learns from its own predictions on them can no longer be measured by them: '
        'predict on other images, or allow the evaluation set expressly.'
    )
    if content.get('annotations'):
        raise ValueError(
            f'{path} has {len(content["annotations"])} labels of its own, so its images are (or could '
            f'be) evaluated on, and {remedy}'
        )
    ours = _image_files(path, content)
    for file in _evaluation_files(evaluated_on, report):
        other = _load_coco(file)
        shared = ours & _image_files(file, other) if other.get('annotations') else set()
        if shared:
            raise ValueError(
                f'{path}: {len(shared)} of its {len(ours)} images, such as {min(shared)}, are in {file}, '
                f'which is evaluated on, and {remedy}'
            )


def _image_files(path: Path, content: dict) -> set[str]:
    return {str((path.parent / entry['file_name']).resolve()) for entry in content['images']}


def _evaluation_files(files: Sequence[str | Path], report: ReadReport) -> Iterator[Path]:
    """The COCO files themselves, and those that configs evaluate on."""
    for file in map(Path, files):
        if file.suffix != '.py':
            yield file
            continue
        cfg = Config.fromfile(file)
        for key in ('val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator'):
            for ann_file in _ann_files(cfg.get(key)):
                if ann_file.is_file():
                    yield ann_file
                else:
                    report.add('evaluation file of a config not found (not checked)', ann_file)


def _ann_files(node: Any) -> Iterator[Path]:
    if isinstance(node, Mapping):
        if node.get('ann_file'):
            yield Path(node.get('data_root') or '', node['ann_file'])
        node = list(node.values())
    if isinstance(node, list | tuple):
        for child in node:
            yield from _ann_files(child)


def _model_classes(
    categories: Sequence[str], classes: Sequence[str] | None, images: str | Path
) -> list[str]:
    """Classes by label: CocoDataset numbers them in the order of the file, whatever that in metainfo."""
    for name in classes or ():
        if name not in categories:
            raise ValueError(
                f'{images} has no category {name!r}{did_you_mean(name, categories)}; it has '
                f'{list(categories)}.'
            )
    return [name for name in categories if classes is None or name in classes]


def _thresholds(names: Sequence[str], score: float, class_scores: Mapping) -> np.ndarray:
    for name, value in {'score': score, **class_scores}.items():
        if not 0 <= value <= 1:
            raise ValueError(f'The least score ({name}) is {value}; expected a number from 0 to 1.')
        if name != 'score' and name not in names:
            raise ValueError(
                f'There is no class {name!r}{did_you_mean(name, names)} to give a least score; expected '
                f'some of {list(names)}.'
            )
    return np.array([class_scores.get(name, score) for name in names], dtype=np.float64)


def _load_predictions(path: str | Path) -> list:
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path} not found; write it with tools/test.py --out {path}.')
    try:
        samples = load(str(path), file_format='pkl')
    except (pickle.UnpicklingError, EOFError) as error:
        raise ValueError(f'{path}: not a whole pickle file ({error}); write it again.') from error
    fits = isinstance(samples, list) and all(map(_is_detection, samples))
    if not fits:
        raise ValueError(
            f'{path}: no list of `pred_instances`; expected the predictions of a detector that '
            'tools/test.py --out writes.'
        )
    return samples


def _is_detection(sample: object) -> bool:
    return isinstance(sample, Mapping) and {'img_id', 'pred_instances'} <= sample.keys()


def _entry(sample: Mapping, entries: Mapping[int, dict], images: str | Path) -> dict:
    entry = entries.get(sample['img_id'])
    named = Path(sample.get('img_path') or '').name
    if entry is None or named not in ('', Path(entry['file_name']).name):
        found = 'no image' if entry is None else entry['file_name']
        raise ValueError(
            f'{images} has {found} under the id {sample["img_id"]}, the predictions have '
            f'{named or "one"}: name the COCO file that was predicted on.'
        )
    return entry


def _record(
    sample: Mapping,
    entry: Mapping,
    names: Sequence[str],
    thresholds: np.ndarray,
    counts: Mapping[str, Counter],
    report: ReadReport,
) -> DetectionImage:
    predicted = sample['pred_instances']
    boxes, scores, labels = (np.asarray(predicted[k]) for k in ('bboxes', 'scores', 'labels'))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f'{entry["file_name"]}: boxes of shape {boxes.shape}, expected (N, 4).')
    if labels.max(initial=-1) >= len(names):
        raise ValueError(
            f'{entry["file_name"]}: predicted label {labels.max()}, but there are {len(names)} classes '
            f'{list(names)}; give those of the model as `classes`.'
        )
    chosen = scores >= thresholds[labels]
    for label in labels[~chosen]:
        counts['below the score'][names[label]] += 1
    height, width = sample.get('ori_shape') or (entry['height'], entry['width'])
    if (width, height) != (entry['width'], entry['height']):
        reason = 'image of another size than in the COCO file (that predicted on written)'
        report.add(reason, entry['file_name'])
    return DetectionImage(
        file_name=entry['file_name'],
        width=width,
        height=height,
        boxes=boxes[chosen],
        names=[names[label] for label in labels[chosen]],
        group=entry.get('group'),
        condition=entry.get('condition'),
    )


def _written(content: dict) -> Counter:
    names = {category['id']: category['name'] for category in content['categories']}
    return Counter(names[annotation['category_id']] for annotation in content['annotations'])


def _count_images(written: dict, expected: int, report: ReadReport) -> None:
    labelled = {annotation['image_id'] for annotation in written['annotations']}
    for entry in written['images']:
        if entry['id'] not in labelled:
            report.add('image without pseudo-label (kept)', entry['file_name'])
    if len(written['images']) < expected:
        report.add(
            'COCO file with more images than predictions (those left out)',
            f'{expected} instead of {len(written["images"])}',
        )


def _summary(
    title: str,
    names: Sequence[str],
    thresholds: np.ndarray,
    counts: Mapping[str, Counter],
    report: ReadReport,
) -> Table:
    table = Table(title=title, caption='\n'.join(report.lines()), caption_justify='left')
    for column in ('class', 'least score', *counts):
        table.add_column(column, justify='left' if column == 'class' else 'right')
    for name, threshold in zip(names, thresholds, strict=True):
        table.add_row(name, f'{threshold:g}', *(str(count[name]) for count in counts.values()))
    table.add_section()
    table.add_row('all', '', *(str(count.total()) for count in counts.values()))
    return table
