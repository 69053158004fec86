"""Predictions and truths of many images in flat arrays, and which of them overlap.

A row belongs to the image that ``images`` names. Flat arrays instead of a list per image let every
figure of a report be computed without a Python loop over images.
"""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np

from mmdet_ext.evaluation.functional.pairs import pairs_within

_Rows = TypeVar('_Rows', bound='_Selectable')


class _Selectable:
    def select(self: _Rows, rows: np.ndarray) -> _Rows:
        """Keep some rows, given as indices or as a mask."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass
class Detections(_Selectable):
    """Predicted boxes.

    Attributes:
        images: Image of each, ``(P,)``, from 0.
        labels: Class of each, ``(P,)``.
        boxes: ``x1 y1 x2 y2`` in pixels, ``(P, 4)``. A box that is not finite overlaps nothing.
        scores: Finite, ``(P,)``.
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray


@dataclass
class Truths(_Selectable):
    """Labelled boxes.

    Attributes:
        images: Image of each, ``(T,)``, from 0.
        labels: Class of each, ``(T,)``.
        boxes: ``x1 y1 x2 y2`` in pixels, ``(T, 4)``.
        areas: Area of the object in square pixels, ``(T,)``; that of its mask, where it has one.
        crowd: Whether it stands for a group of objects (``iscrowd``) and is ignored, ``(T,)``.
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray


@dataclass
class Overlaps(_Selectable):
    """Predictions and truths of the same image that overlap.

    They are in the order of their coordinates: where scores or IoUs are equal, the first is taken, so
    that the order of predictions and truths never matters.

    Attributes:
        detections: Row of the prediction, ``(K,)``.
        truths: Row of the truth, ``(K,)``.
        iou: Intersection over union, ``(K,)``; over the area of the prediction for crowds.
        same_class: Whether both have the same class, ``(K,)``.
    """

    detections: np.ndarray
    truths: np.ndarray
    iou: np.ndarray
    same_class: np.ndarray


def find_overlaps(detections: Detections, truths: Truths, lowest: float = 0.1) -> Overlaps:
    """Find the pairs that overlap at least by an IoU, of whatever classes.

    Args:
        detections: P predictions.
        truths: T truths.
        lowest: Least IoU, positive.

    Returns:
        The overlaps.
    """
    order = np.argsort(detections.images, kind='stable')
    true_order = np.argsort(truths.images, kind='stable')
    boxes, true_boxes = detections.boxes[order], truths.boxes[true_order]
    crowd = truths.crowd[true_order]

    def costs(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return -_iou(boxes[rows], true_boxes[columns], crowd[columns])

    images, true_images = detections.images[order], truths.images[true_order]
    pairs = pairs_within(images, true_images, costs, -lowest)
    rows, columns = order[pairs.rows], true_order[pairs.columns]
    same_class = detections.labels[rows] == truths.labels[columns]
    ranks = (_rank(truths.boxes)[columns], _rank(detections.boxes)[rows])
    return Overlaps(rows, columns, -pairs.costs, same_class).select(
        np.lexsort((truths.labels[columns], detections.labels[rows], *ranks))
    )


def _iou(boxes: np.ndarray, others: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    low, high = np.maximum(boxes[:, :2], others[:, :2]), np.minimum(boxes[:, 2:], others[:, 2:])
    common = (high - low).clip(0).prod(1)
    area = box_areas(boxes)
    whole = area + np.where(crowd, 0, box_areas(others) - common)
    return common / np.where(whole > 0, whole, 1)


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """Areas of boxes ``x1 y1 x2 y2``, 0 for inverted ones; ``(N, 4)`` to ``(N,)``."""
    return (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1)


def _rank(boxes: np.ndarray) -> np.ndarray:
    rank = np.empty(len(boxes), np.int64)
    rank[np.lexsort(boxes.T)] = np.arange(len(boxes))
    return rank
