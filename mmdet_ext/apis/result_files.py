"""Detections that a test wrote to a file, of any detector, in flat arrays."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmdet_ext.apis.report.inputs import read_inputs
from mmdet_ext.utils.files import parse_json

_KEYS = ('image_id', 'category_id', 'bbox', 'score')


@dataclass
class ResultFile:
    """Detections in a file; a row belongs to the image that ``images`` names.

    Attributes:
        path: The file.
        known_images: Ids of the images that the model is known to have seen. A JSON file tells only of
            those with a detection.
        images: Image id of each detection, P.
        categories: Category id of each, P.
        boxes: ``x1 y1 x2 y2`` in pixels, finite and of positive size, ``(P, 4)``.
        scores: From 0 to 1, ``(P,)``.
        notes: Sentences about what was left out.
    """

    path: Path
    known_images: set[Hashable]
    images: list[Hashable]
    categories: list[Hashable]
    boxes: np.ndarray
    scores: np.ndarray
    notes: list[str] = field(default_factory=list)


def read_result_file(
    path: str | Path,
    annotations: str | Path | None = None,
    classes: Sequence[str] | None = None,
) -> ResultFile:
    """Read detections.

    Args:
        path: JSON with COCO results (what ``outfile_prefix`` of ``CocoMetric`` writes as ``.bbox.json``),
            or pickle of ``tools/test.py --out``.
        annotations: COCO file of the images; needed for a pickle, whose labels it gives category ids.
        classes: Classes of the model behind a pickle, if the COCO file has more than these.

    Returns:
        The detections. Those without a finite score or a finite box of positive size, and those that
        equal one before, are left out, and the notes say how many.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no detections, or is not what it should be.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'The result file {path} does not exist; `outfile_prefix` of CocoMetric writes one, or '
            'tools/test.py --out.'
        )
    if path.suffix in ('.pkl', '.pickle'):
        result = _read_pickle(path, annotations, classes)
    else:
        result = _read_json(path)
    if not result.images:
        raise ValueError(f'{path}: no detections; leave the file out.')
    outside = np.flatnonzero((result.scores < 0) | (result.scores > 1))
    if outside.size:
        raise ValueError(
            f'{path}: {outside.size:,} scores are not between 0 and 1, first {result.scores[outside[0]]:g} '
            f'on image {result.images[outside[0]]!r}; expected probabilities, which a fusion can average.'
        )
    return _without_useless_rows(result)


def _read_json(path: Path) -> ResultFile:
    try:
        entries = parse_json(path)
    except ValueError as error:
        raise ValueError(
            f'{path}: not valid JSON ({error}); expected COCO results or, named .pkl, the file that '
            'tools/test.py --out writes.'
        ) from error
    if not isinstance(entries, list):
        raise ValueError(
            f'{path} holds a {type(entries).__name__}; expected a list of detections with '
            f'{", ".join(_KEYS)}, as `outfile_prefix` of CocoMetric writes it.'
        )
    try:
        images, categories, boxes, scores = ([e[key] for e in entries] for key in _KEYS)
        boxes = np.array(boxes, np.float64).reshape(len(entries), 4)
        scores = np.array(scores, np.float64).reshape(len(entries))
        known = set(images)
        set(categories)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(_wrong_entry(path, entries)) from error
    boxes = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
    return ResultFile(path, known, images, categories, boxes, scores)


def _wrong_entry(path: Path, entries: list) -> str:
    """Which entry is no detection; said once reading them all has failed."""
    for i, entry in enumerate(entries):
        if not isinstance(entry, dict) or not entry.keys() >= set(_KEYS):
            found = sorted(entry) if isinstance(entry, dict) else type(entry).__name__
            return (
                f'{path}: detections[{i}] has not all of {", ".join(_KEYS)} (found {found}); expected '
                'COCO results of boxes (.bbox.json).'
            )
        if not _is_numbers(entry['bbox'], 4) or not _is_numbers([entry['score']], 1):
            return (
                f'{path}: detections[{i}] has bbox {entry["bbox"]!r} and score {entry["score"]!r}; '
                'expected four numbers x, y, width, height, and a number.'
            )
    return f'{path}: an `image_id` or `category_id` is a list or an object; expected a number or a text.'


def _is_numbers(values: object, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, int | float) for value in values)
    )


def _read_pickle(
    path: Path, annotations: str | Path | None, classes: Sequence[str] | None
) -> ResultFile:
    if annotations is None:
        raise ValueError(
            f'{path} has labels instead of category ids: give the COCO file of its images with '
            '--annotations.'
        )
    inputs = read_inputs(path, annotations, classes)
    ids = {str(c['name']): c['id'] for c in inputs.content['categories']}
    found = inputs.detections
    # The last note is about the images that the file does not know, which a fusion counts itself.
    is_partial = len(inputs.images) < len(inputs.content['images'])
    notes = inputs.notes[:-1] if is_partial else inputs.notes
    return ResultFile(
        path,
        {image['id'] for image in inputs.images},
        [inputs.images[row]['id'] for row in found.images],
        [ids[inputs.classes[label]] for label in found.labels],
        found.boxes,
        found.scores,
        [f'{path}: {note}' for note in notes],
    )


def _without_useless_rows(result: ResultFile) -> ResultFile:
    usable = np.isfinite(result.scores) & np.isfinite(result.boxes).all(1)
    usable[usable] = (result.boxes[usable, 2:] > result.boxes[usable, :2]).all(1)
    notes = list(result.notes)
    if not usable.all():
        notes.append(
            f'{result.path}: {np.sum(~usable):,} detections have no finite score or no finite box of '
            'positive size, and are left out.'
        )
    rows = np.column_stack([result.boxes, result.scores]).tolist()
    seen, kept = set(), []
    for i in np.flatnonzero(usable).tolist():
        key = (result.images[i], result.categories[i], *rows[i])
        if key not in seen:
            seen.add(key)
            kept.append(i)
    if len(kept) < usable.sum():
        notes.append(
            f'{result.path}: {usable.sum() - len(kept):,} detections are in it twice; one of each counts.'
        )
    return ResultFile(
        result.path,
        result.known_images,
        [result.images[i] for i in kept],
        [result.categories[i] for i in kept],
        result.boxes[kept],
        result.scores[kept],
        notes,
    )
