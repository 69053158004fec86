"""Reader of LabelMe files: boxes, polygons and circles.

Wada, labelme: Image Polygonal Annotation with Python, 2016.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmdet_ext.datasets.formats.detection_coco import DetectionImage
from mmdet_ext.datasets.formats.detection_reader import DetectionReader, LabelledObject
from mmdet_ext.datasets.formats.label_files import list_images, number, read_json
from mmdet_ext.datasets.formats.reader import (
    IMAGE_SUFFIXES,
    LeftOut,
    ReadReport,
    files_by_stem,
    image_size,
)

_LEAST_POINTS = {'rectangle': 2, 'polygon': 3, 'circle': 2}
_CIRCLE_CORNERS = 64


@dataclass
class LabelMeReader(DetectionReader):
    """One json per image: ``rectangle``, ``polygon`` and ``circle`` shapes, with their outlines.

    Shapes of one label and ``group_id`` are parts of one object. A shape with ``difficult: true``
    (X-AnyLabeling) becomes crowd. The image stands where ``imagePath`` says, else beside the json.

    Attributes:
        root: Folder with json files, at any depth.
        classes: The categories in their order, objects of others are left out: a list, names with commas
            between them, or a text file with one name per line. By default all that occur, sorted.
    """

    def find(self, report: ReadReport) -> Sequence[Path]:
        """List the json files."""
        labels = files_by_stem(self.root, ('.json',))
        if not labels:
            raise FileNotFoundError(
                f'{self.root.absolute()}: no json found; expected LabelMe files beside their images.'
            )
        labelled = {path.stem for path in labels.values()}
        for image in list_images(self.root):
            if image.stem not in labelled:
                self.note(report, image, 'image without json left out')
        return list(labels.values())

    def read(self, item: Path, report: ReadReport) -> DetectionImage:
        """Read one image."""
        content = _load(item)
        image = _find_image(item, content)
        size = image_size(image)
        labelled = [number(content.get(key)) for key in ('imageWidth', 'imageHeight')]
        scale = self.label_scale(item, image, size, labelled, report)
        objects = self._objects(item, content['shapes'], report)
        return self.make_record(item, image, size, objects, report, scale=scale)

    def _objects(
        self, item: Path, shapes: Sequence, report: ReadReport
    ) -> Sequence[LabelledObject]:
        found: dict[tuple, LabelledObject] = {}
        for i, shape in enumerate(shapes):
            outline = self._outline(item, shape, report)
            if outline is None:
                continue
            name, group = str(shape['label']).strip(), shape.get('group_id')
            key = (i,) if group is None else (name, str(group))
            parts = [*found[key].polygons, outline] if key in found else [outline]
            crowd = shape.get('difficult') is True or (key in found and found[key].crowd)
            found[key] = LabelledObject.outlined(name, parts, crowd)
        return list(found.values())

    def _outline(self, item: Path, shape: object, report: ReadReport) -> np.ndarray | None:
        """Outline of a shape, ``(K, 2)``; None, and a line in the report, if it has none."""
        if not isinstance(shape, Mapping) or not str(shape.get('label') or '').strip():
            self.note(report, item, 'shape without label left out', shape)
            return None
        kind = str(shape.get('shape_type') or 'polygon')  # early versions had polygons only
        if kind not in _LEAST_POINTS:
            self.note(report, item, f'shape of type {kind} left out', shape['label'])
            return None
        points = _points(shape.get('points'))
        if len(points) < _LEAST_POINTS[kind] or not np.isfinite(points).all():
            reason = 'shape with too few points or none that can be read left out'
            self.note(report, item, reason, f'{shape["label"]}, {kind} {points.tolist()}')
            return None
        return _OUTLINES[kind](points)


def _load(path: Path) -> Mapping:
    content = read_json(path, 'json that cannot be read')
    if not isinstance(content, Mapping) or not isinstance(content.get('shapes'), list):
        raise LeftOut('json without `shapes`, so not of LabelMe')
    return content


def _find_image(label: Path, content: Mapping) -> Path:
    named = label.parent / str(content.get('imagePath') or '').replace('\\', '/')
    beside = [label.with_suffix(s) for suffix in IMAGE_SUFFIXES for s in (suffix, suffix.upper())]
    for path in (named, *beside):
        if path.is_file():
            return path
    where = 'only inside the json' if content.get('imageData') else 'not there'
    raise LeftOut('json without image file', f'{content.get("imagePath")} is {where}')


def _points(points: object) -> np.ndarray:
    """``(K, 2)``; NaN for what is no pair of numbers."""
    pairs = points if isinstance(points, list) else []
    rows = [p if isinstance(p, list) and len(p) == 2 else (None, None) for p in pairs]
    return np.array([[number(x), number(y)] for x, y in rows]).reshape(-1, 2)


def _rectangle(points: np.ndarray) -> np.ndarray:
    (x1, y1), (x2, y2) = points.min(0), points.max(0)  # drawn from any corner to any other
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


def _circle(points: np.ndarray) -> np.ndarray:
    radius = np.hypot(*(points[1] - points[0]))
    angles = np.arange(_CIRCLE_CORNERS) * 2 * np.pi / _CIRCLE_CORNERS
    return points[0] + radius * np.stack([np.cos(angles), np.sin(angles)], -1)


_OUTLINES = {'rectangle': _rectangle, 'polygon': np.asarray, 'circle': _circle}
