"""What is labelled: numbers per class, sizes of boxes and slots, where the labels lie."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from mmdet_ext.datasets.checks.annotation_file import AnnotationFile
from mmdet_ext.structures.slots import interior_angle, separator


@dataclass(frozen=True)
class LabelStatistics:
    """Statistics of one annotation file; labels with missing numbers are left out.

    Attributes:
        images: Number of images.
        class_counts: Number of objects by category name, categories without any included.
        labels_per_image: Objects of each image, marking points where there are no objects, ``(I,)``.
        box_sizes: Square root of each box's area, pixels.
        entrance_widths: Width of each slot's entrance, in ``unit``.
        depths: Length of each slot's separating lines, in ``unit``.
        angles: Interior angle of each slot at p1, degrees.
        unit: ``m`` if the ground resolution of all slots is known, else ``px of 600``.
        positions: Marking points, or centres of the boxes, as shares of width and height, ``(P, 2)``.
    """

    images: int
    class_counts: dict[str, int]
    labels_per_image: np.ndarray
    box_sizes: np.ndarray
    entrance_widths: np.ndarray
    depths: np.ndarray
    angles: np.ndarray
    unit: str
    positions: np.ndarray


def label_statistics(file: AnnotationFile) -> LabelStatistics:
    """Compute the statistics of a file.

    Args:
        file: Annotation file.

    Returns:
        Its statistics.
    """
    known = file.category_rows[file.category_rows >= 0].tolist()
    counts = Counter(file.names[row] for row in known)
    rows = file.image_rows if len(file.annotations) else file.point_image_rows
    extent = np.clip(file.boxes[:, 2:], 0, None)
    widths, depths, angles, unit = _slot_sizes(file)
    return LabelStatistics(
        images=len(file.images),
        class_counts={name: counts[name] for name in file.names},
        labels_per_image=np.bincount(rows[rows >= 0], minlength=len(file.images)),
        box_sizes=_finite(np.sqrt(extent.prod(-1))),
        entrance_widths=widths,
        depths=depths,
        angles=angles,
        unit=unit,
        positions=_finite(
            file.points / file.point_sizes
            if len(file.points)
            else (file.boxes[:, :2] + extent / 2) / file.box_sizes
        ),
    )


def _slot_sizes(file: AnnotationFile) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    whole = np.isfinite(file.corners).all((1, 2)) & ~np.isnan(file.unit)
    corners = file.corners[whole]
    metres = file.metres_per_pixel[whole]
    in_metres = bool(len(metres)) and not np.isnan(metres).any()
    scale = metres if in_metres else 1 / file.unit[whole]
    widths = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=-1) * scale
    _, depths = separator(corners)
    angles = np.degrees(interior_angle(corners))
    return widths, depths * scale, angles, 'm' if in_metres else 'px of 600'


def _finite(values: np.ndarray) -> np.ndarray:
    finite = np.isfinite(values)
    return values[finite.all(-1) if values.ndim > 1 else finite]
