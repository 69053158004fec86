"""What the readers of annotation tools share: polygons of four points are slots, points are marks."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage
from mmdet_ext.datasets.formats.quadrilaterals import (
    Quadrilateral,
    QuadrilateralReader,
    checked_slots,
    scale_to_image,
)
from mmdet_ext.datasets.formats.reader import ReadReport, image_size
from mmdet_ext.datasets.formats.slot_names import IGNORE, attribute_meaning, shape_of

_LINK_RADIUS = 10 / 600
"""How far a marking point may lie from the slot corner that hangs on it, of the image height."""


class DrawnShape(NamedTuple):
    """One shape that someone drew.

    Attributes:
        kind: ``polygon`` or ``points``, or the tool's own name of anything else.
        label: Its label.
        points: Its points as x, y in the frame that was labelled.
        attributes: Names and values.
    """

    kind: Literal['polygon', 'points'] | str
    label: str
    points: tuple[tuple[float, float], ...]
    attributes: tuple[tuple[str, object], ...] = ()


@dataclass
class DrawnShapeReader(QuadrilateralReader):
    """Reader of shapes that were drawn with an annotation tool.

    Attributes:
        root: Folder or file of the data set.
        names: See :class:`QuadrilateralReader`; a marking point may be mapped to its shape.
        entrance: See :class:`QuadrilateralReader`.
        metres_per_pixel: See :class:`QuadrilateralReader`.
    """

    def record(
        self,
        image: Path,
        frame: tuple[float, float] | None,
        shapes: Iterable[DrawnShape],
        report: ReadReport,
        place: str,
        split: str | None,
    ) -> ParkingImage:
        """Make the record of one image.

        Args:
            image: The image file.
            frame: Width and height that were labelled, None if unknown.
            shapes: What was drawn.
            report: Filled with what is left out.
            place: Name of the image for the report.
            split: Part of the data set that it belongs to.

        Raises:
            OSError: The image is no image.
        """
        size, shapes = image_size(image), list(shapes)
        slots = list(self._slots(shapes, frame, size, report, place))
        points, kinds = self._marking_points(shapes, frame, size, report, place)
        fields = checked_slots(slots, size, report, place, metres_per_pixel=self.metres_per_pixel)
        fields['slot_points'] = nearest_points(
            fields['corners'][:, :2], points, _LINK_RADIUS * size[1]
        )
        return ParkingImage(
            file_name=self.relative(image),
            width=size[0],
            height=size[1],
            points=points,
            directions=np.full_like(points, np.nan),
            shapes=kinds,
            metres_per_pixel=self.metres_per_pixel,
            split=split,
            **fields,
        )

    def _slots(
        self,
        shapes: Sequence[DrawnShape],
        frame: tuple[float, float] | None,
        size: tuple[int, int],
        report: ReadReport,
        place: str,
    ) -> Iterator[Quadrilateral]:
        for shape in shapes:
            named = f'{place} ({shape.label!r})'
            if shape.kind == 'points':
                continue
            if shape.kind != 'polygon':
                report.add(
                    'shape other than polygon and point left out', f'{named}, a {shape.kind}'
                )
                continue
            meaning = self.meaning(shape.label)
            if meaning is None:
                report.add('polygon whose label names no slot (see `names`) left out', named)
                continue
            points = shape.points
            if len(points) == 5 and points[0] == points[-1]:
                points = points[:4]
            if len(points) != 4:
                report.add('polygon without four points left out', f'{named}, {len(points)}')
                continue
            corners = scale_to_image(np.array(points, dtype=np.float64), frame, size)
            meaning = meaning.refined(attribute_meaning(shape.attributes))
            yield self.quadrilateral(corners, meaning, size)

    def _marking_points(
        self,
        shapes: Sequence[DrawnShape],
        frame: tuple[float, float] | None,
        size: tuple[int, int],
        report: ReadReport,
        place: str,
    ) -> tuple[np.ndarray, np.ndarray]:
        points, kinds = [], []
        for shape in shapes:
            words = self.words(shape.label)
            if shape.kind != 'points':
                continue
            if words == IGNORE:
                report.add('point with an ignored label left out', f'{place} ({shape.label!r})')
                continue
            values = ' '.join([words, *(str(value) for _, value in shape.attributes)])
            drawn = np.array(shape.points, dtype=np.float64).reshape(-1, 2)
            for point in scale_to_image(drawn, frame, size):
                if not ((point >= 0) & (point <= size)).all():
                    report.add('point outside the image left out', f'{place} at {point.round(1)}')
                    continue
                points.append(point)
                kinds.append(shape_of(values))
        return np.array(points).reshape(-1, 2), np.array(kinds, dtype=np.int64)


def nearest_points(corners: np.ndarray, points: np.ndarray, radius: float) -> np.ndarray:
    """Marking points that corners hang on.

    Args:
        corners: Shape ``(..., 2)``.
        points: Shape ``(N, 2)``.
        radius: Largest distance in pixels.

    Returns:
        Row of the nearest point, -1 where none is within the radius; shape ``(...)``.
    """
    if not len(points):
        return np.full(corners.shape[:-1], -1)
    distances = cdist(corners.reshape(-1, 2), points)
    rows = np.where(distances.min(1) <= radius, distances.argmin(1), -1)
    return rows.reshape(corners.shape[:-1])
