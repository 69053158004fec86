"""What the readers of general object detection share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmdet_ext.datasets.formats.detection_coco import (
    DetectionImage,
    check_classes,
    class_names,
    enclosing_box,
    fit_to_image,
    write_detection_coco,
)
from mmdet_ext.datasets.formats.label_files import text_lines
from mmdet_ext.datasets.formats.reader import LeftOut, Reader, ReadReport, image_size


class LabelledObject(NamedTuple):
    """One object as a reader finds it: class name, box x1 y1 x2 y2, and the rest.

    ``box`` and ``polygons`` are in the frame of the labels.
    """

    name: str
    box: Sequence[float]
    crowd: bool = False
    polygons: Sequence[np.ndarray] = ()

    @classmethod
    def outlined(
        cls, name: str, polygons: Sequence[np.ndarray], crowd: bool = False
    ) -> 'LabelledObject':
        """Object whose box encloses its outlines, ``(K, 2)`` each."""
        return cls(name, enclosing_box(polygons), crowd, polygons)


@dataclass
class DetectionReader(Reader[DetectionImage]):
    """Reader of a format for general object detection.

    Attributes:
        classes: The categories in their order: a list, names with commas between them, or a text file
            with one name per line. Objects of other classes are left out. By default all that occur,
            sorted.
    """

    classes: Sequence[str] | str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.classes = _class_list(self.classes)
        self._found: list[str] | None = None

    @property
    def known_classes(self) -> list[str] | None:
        """The categories where an option or the format fixes them, else None."""
        return self.classes

    def prepare_writing(self, records: Sequence[DetectionImage]) -> None:
        """Take the categories from the records of all splits, so that each file has the same."""
        self._found = class_names(records)

    def write(self, path: Path, records: Iterable[DetectionImage], description: str) -> None:
        """Write COCO; see :func:`write_detection_coco`.

        The categories are :attr:`known_classes`, or those given to :meth:`prepare_writing`, or else
        those of ``records``.
        """
        records = list(records)
        classes = self.known_classes or self._found or class_names(records)
        write_detection_coco(path, records, description, classes)

    @staticmethod
    def count(record: DetectionImage) -> dict[str, int]:
        """Boxes that count and boxes that are ignored."""
        crowd = int(record.crowd.sum())
        return {'boxes': len(record.boxes) - crowd, 'ignored boxes': crowd}

    def note(self, report: ReadReport, item: Any, reason: str, detail: object = '') -> None:
        """Count one case of ``reason`` in an item."""
        example = f'{self.label(item)} ({detail})' if str(detail) else self.label(item)
        report.add(reason, example, self.condition(item))

    def make_record(
        self,
        item: Any,
        image: Path,
        size: tuple[int, int],
        objects: Iterable[LabelledObject],
        report: ReadReport,
        *,
        scale: Sequence[float] = (1, 1),
        split: str | None = None,
    ) -> DetectionImage:
        """Make the record of an item: known classes only, scaled, fitted to the image.

        Args:
            item: The item that is read.
            image: Its image file.
            size: Width and height of the image.
            objects: What is labelled in it.
            report: Filled with what is left out or changed.
            scale: Factors in x and y from the frame of the labels to image pixels.
            split: Part of the data set that the image belongs to.

        Returns:
            The record; an image without boxes is kept and counted.
        """
        known, kept = self.known_classes, []
        for found in objects:
            if known is None or found.name in known:
                kept.append(found)
            else:
                self.note(
                    report, item, 'object of a class that is not asked for left out', found.name
                )
        record = DetectionImage(
            file_name=self.relative(image),
            width=size[0],
            height=size[1],
            boxes=np.array([found.box for found in kept]).reshape(-1, 4) * np.tile(scale, 2),
            names=[found.name for found in kept],
            crowd=np.array([found.crowd for found in kept]),
            polygons=[
                [np.multiply(outline, scale) for outline in found.polygons] for found in kept
            ],
            condition=self.condition(item),
            split=split,
        )
        record = fit_to_image(record, report)
        if not len(record.boxes):
            self.note(report, item, 'image without boxes (kept)')
        return record

    def label_scale(
        self,
        item: Any,
        image: Path,
        size: tuple[int, int],
        labelled: Sequence[float],
        report: ReadReport,
    ) -> Sequence[float]:
        """Factors in x and y from the image size in the label file to the real one.

        Args:
            item: The item that is read.
            image: Its image file.
            size: Width and height of the image.
            labelled: Width and height that the label file states.
            report: Told about any difference.

        Returns:
            The factors; 1 where the stated size is none or has width and height swapped.

        Raises:
            LeftOut: The labels were made without the EXIF rotation that the image is loaded with.
        """
        labelled = tuple(labelled)
        if labelled == tuple(size):
            return 1, 1
        detail = f'{labelled[0]:g} x {labelled[1]:g} instead of {size[0]} x {size[1]}'
        if not (np.isfinite(labelled).all() and min(labelled) > 0):
            self.note(report, item, "no image size in the label file (the image's taken)", detail)
            return 1, 1
        if labelled == tuple(size[::-1]):
            if image_size(image, as_loaded=False) == labelled:
                raise LeftOut('labels that leave out the EXIF rotation of the image', detail)
            reason = 'width and height swapped in the label file (boxes as they are)'
            self.note(report, item, reason, detail)
            return 1, 1
        self.note(report, item, 'other image size in the label file (boxes scaled)', detail)
        return size[0] / labelled[0], size[1] / labelled[1]


def _class_list(classes: Sequence[str] | str | None) -> list[str] | None:
    if classes is None:
        return None
    if isinstance(classes, str):
        is_file = Path(classes).is_file()
        classes = text_lines(Path(classes)) if is_file else classes.split(',')
    elif not isinstance(classes, Sequence):  # a single number from the command line
        classes = [classes]
    names = [str(name).strip() for name in classes]
    check_classes(names)
    return names
