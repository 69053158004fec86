"""Pictures of a report: truth beside prediction, what is right in green and what is wrong in red."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mmdet_ext.apis.report.figures import ReportFigures, image_errors
from mmdet_ext.apis.report.inputs import ReportInputs, to_array
from mmdet_ext.datasets.coco_file import file_name
from mmdet_ext.datasets.parking_slot_dataset import ParkingSlotDataset
from mmdet_ext.visualization.boxes import draw_boxes, draw_texts
from mmdet_ext.visualization.drawing import draw_points, draw_slots

RIGHT_COLOUR, WRONG_COLOUR, CROWD_COLOUR = (46, 160, 87), (214, 58, 48), (150, 150, 150)
_LONGER_SIDE = 560  # pixels of a picture
_GAP = 6


@dataclass
class Picture:
    """One image of the gallery.

    Attributes:
        name: File name.
        caption: What is right and wrong in it.
        image: Truth on the left, prediction on the right, RGB, uint8, ``(H, W, 3)``.
    """

    name: str
    caption: str
    image: np.ndarray


class Gallery:
    """Finds, loads and draws images.

    Args:
        inputs: Predictions and truths.
        figures: Their figures.
        folder: Where the images are; by default where they were predicted, or beside the
            annotation file.
        point_threshold: Lowest score of the marking points that are drawn.

    Attributes:
        missing: Number of images that were to be drawn and could not be read.
    """

    def __init__(
        self,
        inputs: ReportInputs,
        figures: ReportFigures,
        folder: str | Path | None = None,
        point_threshold: float = 0.3,
    ) -> None:
        self.inputs, self.figures = inputs, figures
        self.folder = None if folder is None else Path(folder)
        self.point_threshold = point_threshold
        self.errors = image_errors(inputs, figures)
        self.missing = 0

    def notes(self) -> list[str]:
        """Sentences about images that could not be drawn."""
        if not self.missing:
            return []
        return [
            f'{self.missing} images to be shown could not be read; give their folder with --images.'
        ]

    def worst(self, count: int) -> list[Picture]:
        """Draw the images with the most errors, only such as have any."""
        wrong = self.errors['false'] + self.errors['missed']
        order = np.lexsort((np.nan_to_num(self.errors['mean_iou']), -wrong))
        return self._draw(order[wrong[order] > 0], count)

    def best(self, count: int) -> list[Picture]:
        """Draw the images with the fewest errors and the most matches, only such as have any."""
        wrong, right = self.errors['false'] + self.errors['missed'], self.errors['right']
        order = np.lexsort((-np.nan_to_num(self.errors['mean_iou']), -right, wrong))
        return self._draw(order[right[order] > 0], count)

    def _draw(self, rows: Iterable[int], count: int) -> list[Picture]:
        pictures = []
        for row in rows:
            if len(pictures) == count or self.missing >= 3 * count:
                break
            image = self._load(row)
            if image is None:
                self.missing += 1
            else:
                pictures.append(self._picture(row, image))
        return pictures

    def _load(self, row: int) -> np.ndarray | None:
        for path in self._places(row):
            image = cv2.imread(str(path)) if path.is_file() else None
            if image is not None:
                return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return None

    def _places(self, row: int) -> Iterator[Path]:
        name = file_name(self.inputs.images[row])
        if self.folder is not None:
            yield self.folder / name
            return
        if self.inputs.samples[row].get('img_path'):
            yield Path(self.inputs.samples[row]['img_path'])
        yield from (folder / name for folder in self.inputs.ann_file.absolute().parents[:2])

    def _picture(self, row: int, image: np.ndarray) -> Picture:
        scale = _LONGER_SIDE / max(image.shape[:2])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=method)
        panels = [self._truth(row, image.copy(), scale), self._prediction(row, image, scale)]
        gap = np.full((image.shape[0], _GAP, 3), 255, np.uint8)
        counts = {name: values[row] for name, values in self.errors.items()}
        caption = '{right} right, {false} false, {missed} missed'.format(**counts)
        if counts['right']:
            caption += f', mean IoU {counts["mean_iou"]:.2f}'
        name = file_name(self.inputs.images[row])
        return Picture(name, caption, np.concatenate([panels[0], gap, panels[1]], 1))

    def _truth(self, row: int, image: np.ndarray, scale: float) -> np.ndarray:
        mine = np.flatnonzero(self.inputs.truths.images == row)
        kept = self.inputs.detections.scores >= self.figures.threshold
        found = np.isin(mine, self.figures.matches.truths[kept])
        crowd = self.inputs.truths.crowd[mine]
        colours = [
            CROWD_COLOUR if ignored else RIGHT_COLOUR if hit else WRONG_COLOUR
            for hit, ignored in zip(found, crowd, strict=True)
        ]
        names = [self.inputs.classes[label] for label in self.inputs.truths.labels[mine]]
        texts = [
            f'{name} (ignored)' if ignored else name if hit else f'{name} missed'
            for name, hit, ignored in zip(names, found, crowd, strict=True)
        ]
        entries = [self.inputs.annotations[i] for i in mine]
        if not self.figures.parking:
            return _with_boxes(image, self.inputs.truths.boxes[mine] * scale, texts, colours)
        occupied = np.array([{True: 1, False: 0}.get(e.get('occupied'), -1) for e in entries])
        corners = np.array([e['keypoints'] for e in entries]).reshape(-1, 4, 3)[..., :2]
        image = _with_slots(
            image, corners * scale, self.inputs.truths.labels[mine], occupied, texts, colours
        )
        return _with_points(image, *self._true_points(row), scale)

    def _true_points(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        key = self.inputs.images[row]['id']
        mine = [p for p in self.inputs.content.get('marking_points', ()) if p['image_id'] == key]
        directions = [point.get('direction') or (0, 0) for point in mine]
        points = np.array([point['point'] for point in mine], float).reshape(-1, 2)
        return points, np.array(directions, float).reshape(-1, 2)

    def _prediction(self, row: int, image: np.ndarray, scale: float) -> np.ndarray:
        detections = self.inputs.detections
        mine = (detections.images == row) & (detections.scores >= self.figures.threshold)
        mine = np.flatnonzero(mine)[np.argsort(detections.scores[mine], kind='stable')]
        right = self.figures.matches.truths[mine] >= 0
        ignored = self.figures.matches.left_out[mine]
        colours = [
            CROWD_COLOUR if skip else RIGHT_COLOUR if hit else WRONG_COLOUR
            for hit, skip in zip(right, ignored, strict=True)
        ]
        labels, scores = detections.labels[mine], detections.scores[mine]
        texts = [
            f'{self.inputs.classes[label]} {score:.2f}'
            for label, score in zip(labels, scores, strict=True)
        ]
        if not self.figures.parking:
            return _with_boxes(image, detections.boxes[mine] * scale, texts, colours)
        sample = self.inputs.samples[row]
        slots = {key: to_array(value) for key, value in sample['pred_instances'].items()}
        places = self.inputs.rows[mine]
        said = slots.get('occupied_scores', np.full(len(slots['scores']), np.nan))[places]
        occupied = np.where(np.isnan(said), -1, said >= 0.5).astype(int)
        corners = slots['corners'][places] * scale
        image = _with_slots(image, corners, labels, occupied, texts, colours)
        points = sample.get('pred_marking_points')
        if points is None:
            return image
        chosen = to_array(points['scores']) >= self.point_threshold
        directions = to_array(points['directions'])[chosen] if 'directions' in points else None
        return _with_points(image, to_array(points['points'])[chosen], directions, scale)


def _with_boxes(
    image: np.ndarray, boxes: np.ndarray, texts: list[str], colours: list[tuple]
) -> np.ndarray:
    finite = np.isfinite(boxes).all(1)
    boxes = boxes[finite]
    texts = [text for text, keep in zip(texts, finite, strict=True) if keep]
    colours = [colour for colour, keep in zip(colours, finite, strict=True) if keep]
    image = draw_boxes(image, boxes, colours)
    return draw_texts(image, texts, boxes[:, :2] - (0, 13), colours)


def _with_slots(
    image: np.ndarray,
    corners: np.ndarray,
    labels: np.ndarray,
    occupied: np.ndarray,
    texts: list[str],
    colours: list[tuple],
) -> np.ndarray:
    height, width = image.shape[:2]
    finite = np.isfinite(corners).all((1, 2))
    corners, labels, occupied = corners[finite], labels[finite], occupied[finite]
    texts = [text for text, keep in zip(texts, finite, strict=True) if keep]
    colours = [colour for colour, keep in zip(colours, finite, strict=True) if keep]
    image = draw_slots(image, corners, labels, occupied, ParkingSlotDataset.METAINFO['palette'])
    middles = corners.clip(0, (width, height)).mean(1)  # of what can be seen
    return draw_texts(image, texts, middles - (34, 6), colours)


def _with_points(
    image: np.ndarray, points: np.ndarray, directions: np.ndarray | None, scale: float
) -> np.ndarray:
    return draw_points(image, points * scale, directions)
