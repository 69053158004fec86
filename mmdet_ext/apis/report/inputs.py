"""What a report is made from: predictions that were written by a test, and a COCO file."""

import pickle
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmdet_ext.datasets.coco_file import CocoFile
from mmdet_ext.evaluation.functional.detections import Detections, Truths


@dataclass
class ReportInputs:
    """Predictions and truths of the images that were predicted.

    Attributes:
        ann_file: The COCO file.
        content: What it holds.
        classes: Names in the order of the labels.
        images: Entries of ``images`` that were predicted, N.
        samples: Predictions of each image as they were written, N.
        annotations: Entries of ``annotations`` of the truths, T.
        detections: Predictions, those of a score that is not finite left out.
        rows: Row within its sample of each detection, ``(P,)``.
        truths: Truths.
        notes: Sentences about what is missing or left out.
    """

    ann_file: Path
    content: dict[str, Any]
    classes: tuple[str, ...]
    images: list[dict]
    samples: list[Mapping[str, Any]]
    annotations: list[dict]
    detections: Detections
    rows: np.ndarray
    truths: Truths
    notes: list[str]


def read_inputs(
    results: str | Path | Sequence[Mapping[str, Any]],
    ann_file: str | Path,
    classes: Sequence[str] | None = None,
) -> ReportInputs:
    """Read predictions and truths.

    Args:
        results: File of ``tools/test.py --out`` (``DumpDetResults``), or what it holds.
        ann_file: COCO file of the data that were predicted.
        classes: Classes of the model, if the file has more than these.

    Returns:
        Both, matched by the ids of the images.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is not what it should be, or the two do not fit together.
    """
    source = f'{results}' if isinstance(results, str | Path) else 'the results'
    samples = _load(Path(results)) if isinstance(results, str | Path) else list(results)
    if not samples:
        raise ValueError(f'{source}: no predictions; expected one result per image.')
    file = CocoFile(ann_file)
    labels = _labels(file, classes)
    by_id, notes = _by_image(samples, source, file)
    images = [image for image in file.images if image['id'] in by_id]
    ordered = [by_id[image['id']] for image in images]
    detections, rows, dropped = _read_detections(ordered, source, len(labels))
    if dropped:
        notes.append(
            f'{dropped:,} predictions have a score that is not a finite number and are left out.'
        )
    annotations = _annotations_of(file, images, labels)
    truths = _read_truths(file, annotations, images, labels)
    if len(images) < len(file.images):
        notes.append(
            f'{len(images):,} of the {len(file.images):,} images of {file.path} were predicted; only '
            'these are evaluated.'
        )
    names = {c['id']: str(c['name']) for c in file.content['categories']}
    return ReportInputs(
        file.path,
        file.content,
        tuple(names[key] for key in labels),
        images,
        ordered,
        annotations,
        detections,
        rows,
        truths,
        notes,
    )


def _load(path: Path) -> list:
    if not path.is_file():
        raise FileNotFoundError(
            f'The results file {path} does not exist; write it with `tools/test.py CONFIG CHECKPOINT '
            '--out FILE.pkl`.'
        )
    try:
        content = pickle.loads(path.read_bytes())
    except (
        pickle.UnpicklingError,
        EOFError,
        AttributeError,
        ImportError,
        IndexError,
        ValueError,
    ) as error:
        raise ValueError(
            f'{path} cannot be read as a pickle ({error}); expected the file that tools/test.py --out '
            'writes.'
        ) from error
    if not isinstance(content, list):
        raise ValueError(
            f'{path} holds a {type(content).__name__}; expected a list with a prediction per image, as '
            'tools/test.py --out writes it.'
        )
    return content


def _labels(file: CocoFile, classes: Sequence[str] | None) -> dict[int, int]:
    """Label of each category id, in the order of the file, as CocoDataset has it."""
    categories = file.content.get('categories')
    if not categories or any('id' not in c or 'name' not in c for c in categories):
        raise ValueError(
            f'{file.path} has no list `categories` of entries with `id` and `name`, which the report '
            'names the classes by.'
        )
    names = [str(category['name']) for category in categories]
    if len(set(names)) < len(names):
        raise ValueError(
            f'{file.path}: `categories` has names twice ({names}); give each a name of its own.'
        )
    missing = [name for name in classes or () if name not in names]
    if missing:
        raise ValueError(f'{file.path} has no classes {missing}; its `categories` are {names}.')
    chosen = [c['id'] for c in categories if classes is None or str(c['name']) in classes]
    return {key: label for label, key in enumerate(chosen)}


def _by_image(samples: list, source: str, file: CocoFile) -> tuple[dict[Any, Mapping], list[str]]:
    known, found, repeated = {image['id'] for image in file.images}, {}, 0
    for i, sample in enumerate(samples):
        if not isinstance(sample, Mapping) or not {'img_id', 'pred_instances'} <= sample.keys():
            kind = sorted(sample) if isinstance(sample, Mapping) else type(sample).__name__
            raise ValueError(
                f'{source}: result {i} has no `img_id` and `pred_instances` (found {kind}); expected '
                'what tools/test.py --out writes for a detector.'
            )
        if sample['img_id'] not in known:
            raise ValueError(
                f'{source}: result {i} is of image {sample["img_id"]!r}, which {file.path} does not '
                'have; give the annotation file that the results were predicted on.'
            )
        repeated += sample['img_id'] in found
        found.setdefault(sample['img_id'], sample)
    notes = [f'{repeated:,} results are of an image that came before; the first counts.']
    return found, notes if repeated else []


def _read_detections(
    samples: list[Mapping], source: str, num_classes: int
) -> tuple[Detections, np.ndarray, int]:
    boxes, scores, labels = (
        [to_array(_field(sample, key, source)) for sample in samples]
        for key in ('bboxes', 'scores', 'labels')
    )
    counts = [len(each) for each in scores]
    for sample, box, count in zip(samples, boxes, counts, strict=True):
        if box.shape != (count, 4):
            raise ValueError(
                f'{source}: the `bboxes` of image {sample["img_id"]!r} have shape {box.shape}; expected '
                f'({count}, 4), one upright box x1 y1 x2 y2 per score.'
            )
    detections = Detections(
        np.repeat(np.arange(len(samples)), counts),
        _joined(labels).astype(np.int64),
        _joined(boxes, 4).astype(np.float64),
        _joined(scores).astype(np.float64),
    )
    if (
        len(detections.labels)
        and not 0 <= detections.labels.min() <= detections.labels.max() < num_classes
    ):
        raise ValueError(
            f'{source}: labels range from {detections.labels.min()} to {detections.labels.max()}, but '
            f'there are {num_classes} classes; give the annotation file and the classes of the model.'
        )
    rows = _joined([np.arange(count) for count in counts]).astype(np.int64)
    kept = np.isfinite(detections.scores)
    return detections.select(kept), rows[kept], int((~kept).sum())


def _joined(parts: list[np.ndarray], *shape: int) -> np.ndarray:
    return np.concatenate([np.zeros((0, *shape)), *parts])


def _field(sample: Mapping, key: str, source: str) -> Any:
    instances = sample['pred_instances']
    if key not in instances:
        raise ValueError(
            f'{source}: the `pred_instances` of image {sample["img_id"]!r} have no `{key}` (found '
            f'{sorted(instances.keys())}); the report needs `bboxes`, `scores` and `labels`.'
        )
    return instances[key]


def to_array(values: Any) -> np.ndarray:
    """Array of a tensor, of a box structure or of an array."""
    values = getattr(values, 'tensor', values)
    return values.detach().cpu().numpy() if hasattr(values, 'detach') else np.asarray(values)


def _annotations_of(file: CocoFile, images: list[dict], labels: Mapping[int, int]) -> list[dict]:
    by_image = defaultdict(list)
    for i, entry in enumerate(file.content.get('annotations', ())):
        box = entry.get('bbox')
        if not isinstance(box, list) or len(box) != 4 or not np.isfinite(box).all():
            raise ValueError(
                f'{file.path}: annotations[{i}] has bbox {box!r}; expected four finite numbers x, y, '
                'width, height.'
            )
        if entry.get('category_id') in labels:
            by_image[entry['image_id']].append(entry)
    return [entry for image in images for entry in by_image[image['id']]]


def _read_truths(
    file: CocoFile, annotations: list[dict], images: list[dict], labels: Mapping[int, int]
) -> Truths:
    rows = {image['id']: row for row, image in enumerate(images)}
    boxes = np.array([entry['bbox'] for entry in annotations], np.float64).reshape(-1, 4)
    areas = [
        entry.get('area', box[2] * box[3]) for entry, box in zip(annotations, boxes, strict=True)
    ]
    return Truths(
        np.array([rows[entry['image_id']] for entry in annotations], np.int64),
        np.array([labels[entry['category_id']] for entry in annotations], np.int64),
        np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]),
        np.array(areas, np.float64),
        np.array([bool(entry.get('iscrowd', 0)) for entry in annotations], bool),
    )
