"""Plain COCO for object detection: the record, its writer, and what its readers share."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from mmdet_ext.datasets.formats.reader import (
    ReadReport,
)
from mmdet_ext.utils.files import write_whole

_ROUNDING = 0.1
"""Pixels that a box may hang over the image border by the rounding of normalised labels."""


@dataclass
class DetectionImage:
    """Labels of one image.

    Attributes:
        file_name: Path relative to the image folder.
        width: Image width in pixels, as the image is loaded (see :func:`image_size`).
        height: Image height in pixels.
        boxes: ``(N, 4)``, x1 y1 x2 y2 in pixels, edges: the whole image is 0 0 width height.
        names: Class names, one per box.
        crowd: ``(N,)`` bool, boxes that evaluation and training ignore (``iscrowd``).
        polygons: For each box its outlines, ``(K, 2)`` in pixels each; none if there is only a box.
        group: Sequence or site; splits never cut through a group.
        condition: Evaluation subset such as ``indoor``.
        split: Part of the data set that its makers put the image into, such as ``train``.
    """

    file_name: str
    width: int
    height: int
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    names: Sequence[str] = ()
    crowd: np.ndarray | None = None
    polygons: Sequence[Sequence[np.ndarray]] | None = None
    group: str | None = None
    condition: str | None = None
    split: str | None = None

    def __post_init__(self) -> None:
        self.boxes = np.asarray(self.boxes, dtype=np.float64).reshape(-1, 4)
        n = len(self.boxes)
        self.crowd = np.zeros(n, bool) if self.crowd is None else np.asarray(self.crowd, bool)
        self.polygons = [[]] * n if self.polygons is None else self.polygons
        if not len(self.names) == len(self.crowd) == len(self.polygons) == n:
            raise ValueError(
                f'{self.file_name}: {n} boxes, {len(self.names)} names, {len(self.crowd)} crowd flags '
                f'and {len(self.polygons)} lists of polygons; expected as many of each.'
            )

    @property
    def areas(self) -> np.ndarray:
        """``(N,)``, square pixels: of the outlines where there are some, else of the box."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return np.array(
            [
                _area(outlines) if outlines else side.prod()
                for outlines, side in zip(self.polygons, sides, strict=True)
            ]
        )


def check_classes(classes: Sequence[str]) -> None:
    """Raise ValueError unless there are class names, each once and not empty."""
    twice = sorted({name for name in classes if list(classes).count(name) > 1})
    if twice or '' in classes or not classes:
        found = f'{twice} more than once' if twice else f'{list(classes)}'
        raise ValueError(
            f'`classes` has {found}; expected each class name once, none of them empty.'
        )


def class_names(records: Iterable[DetectionImage]) -> list[str]:
    """Class names that occur, sorted; numbers by their value and first."""
    names = {name for record in records for name in record.names}
    return sorted(names, key=lambda n: (not n.isdecimal(), int(n) if n.isdecimal() else 0, n))


def write_detection_coco(
    path: str | Path,
    records: Iterable[DetectionImage],
    description: str,
    classes: Sequence[str],
    report: ReadReport | None = None,
) -> dict:
    """Write records as one COCO file.

    CocoDataset numbers labels in the order of the file's ``categories``, whatever the order of its
    ``metainfo``: give all files of one data set the same ``classes``.

    Args:
        path: JSON file to write; folders are made.
        records: Images in the order of their ids, which count from 0.
        description: Free text for ``info``.
        classes: Names of the categories, whose ids count from 1.
        report: Filled with what :func:`fit_to_image` changes.

    Returns:
        The written content.

    Raises:
        ValueError: A class name is not in ``classes``, or is in it twice.
    """
    if classes:
        check_classes(classes)
    report = ReadReport() if report is None else report
    ids = {name: i for i, name in enumerate(classes, 1)}
    content: dict[str, Any] = {
        'info': {'description': description},
        'licenses': [],
        'images': [],
        'categories': [{'id': i, 'name': n, 'supercategory': 'none'} for n, i in ids.items()],
        'annotations': [],
    }
    for image_id, record in enumerate(records):
        content['images'].append(_image_entry(image_id, record))
        for annotation in _annotations(fit_to_image(record, report), ids, path):
            # pycocotools takes a match with annotation 0 for none, so ids count from 1.
            numbers = {'id': len(content['annotations']) + 1, 'image_id': image_id}
            content['annotations'].append(numbers | annotation)
    write_whole(path, json.dumps(content, separators=(',', ':'), allow_nan=False))
    return content


def _image_entry(image_id: int, record: DetectionImage) -> dict:
    entry = {
        'id': image_id,
        'file_name': record.file_name,
        'width': record.width,
        'height': record.height,
    }
    optional = {'group': record.group, 'condition': record.condition}
    return entry | {key: value for key, value in optional.items() if value is not None}


def _annotations(record: DetectionImage, ids: dict[str, int], path: str | Path):
    for i, area in enumerate(record.areas):
        name = record.names[i]
        if name not in ids:
            raise ValueError(
                f'{path}: {record.file_name} has the class {name!r}, `classes` has {list(ids)}; add it '
                'there or leave its objects out.'
            )
        x1, y1, x2, y2 = record.boxes[i].tolist()
        annotation = {
            'category_id': ids[name],
            'bbox': [round(value, 3) for value in (x1, y1, x2 - x1, y2 - y1)],
            'area': round(float(area), 2),
            'iscrowd': int(record.crowd[i]),
        }
        if record.polygons[i]:
            outlines = [np.round(outline, 3).ravel().tolist() for outline in record.polygons[i]]
            annotation['segmentation'] = outlines
        yield annotation


def fit_to_image(record: DetectionImage, report: ReadReport) -> DetectionImage:
    """Clip boxes and outlines to the image; leave out what mmdet would drop from training.

    Args:
        record: Labels of one image.
        report: Told about every box that is clipped or left out.

    Returns:
        A record whose boxes lie in the image and are at least one pixel wide and high. A clipped
        outline's box encloses what is left of it.
    """
    limits = np.array([record.width, record.height] * 2, dtype=np.float64)
    boxes, polygons, kept = record.boxes.copy(), list(record.polygons), []
    for i, box in enumerate(record.boxes):
        fitted = box.clip(0, limits)
        if (fitted != box).any() and np.isfinite(box).all() and polygons[i]:
            polygons[i] = _clip_outlines(polygons[i], limits)
            fitted = enclosing_box(polygons[i]) if polygons[i] else np.zeros(4)
        boxes[i] = fitted
        if not np.isfinite(box).all():
            reason = 'box with a number that is not finite left out'
        elif _shorter_side(box) < 1:
            reason = 'box less than 1 pixel wide or high left out'
        elif _shorter_side(fitted) < 1:
            reason = 'box with less than 1 pixel in the image left out'
        elif polygons[i] and _area(polygons[i]) < 1:
            reason = 'outline with an area of less than 1 pixel left out'
        else:
            kept.append(i)
            if np.abs(box - box.clip(0, limits)).max() <= _ROUNDING:
                continue
            reason = 'box clipped to the image'
        detail = f'{record.file_name} ({record.names[i]}, {box.round(1).tolist()})'
        report.add(reason, detail, record.condition)
    return dataclasses.replace(
        record,
        boxes=boxes[kept],
        names=[record.names[i] for i in kept],
        crowd=record.crowd[kept],
        polygons=[polygons[i] for i in kept],
    )


def _shorter_side(box: np.ndarray) -> float:
    return (box[2:] - box[:2]).min().round(3)


def enclosing_box(polygons: Sequence[np.ndarray]) -> np.ndarray:
    """Box x1 y1 x2 y2 around outlines, ``(K, 2)`` each."""
    points = np.concatenate([np.reshape(outline, (-1, 2)) for outline in polygons])
    return np.concatenate([points.min(0), points.max(0)])


def _shape(outline: np.ndarray) -> shapely.Geometry:
    return shapely.make_valid(shapely.Polygon(outline))  # hand-drawn outlines cross themselves


def _area(polygons: Sequence[np.ndarray]) -> float:
    return sum(_shape(outline).area for outline in polygons)


def _clip_outlines(polygons: Sequence[np.ndarray], limits: np.ndarray) -> list[np.ndarray]:
    frame = shapely.box(0, 0, *limits[:2])
    shapes = [_shape(outline).intersection(frame) for outline in polygons]
    parts = shapely.get_parts(shapely.get_parts(shapes))  # a collection may hold multi-polygons
    return [
        np.array(part.exterior.coords)[:-1]
        for part in parts
        if isinstance(part, shapely.Polygon) and not part.is_empty
    ]
