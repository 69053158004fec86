"""How far two files that find boxes agree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from mmdet_ext.deploy.runtime import BoxPredictions, OnnxEngine

_SURE = 0.3
"""Boxes above this score count."""
_SAME = 0.75
"""Boxes of one class that overlap so far are the same."""


@dataclass
class BoxAgreement:
    """What a file is worth if another one is taken for the truth.

    Attributes:
        f1: Of boxes of the same class whose IoU is 0.75 or more, one to one.
        mean_iou: Of these.
    """

    f1: float
    mean_iou: float

    def __str__(self) -> str:
        return f'F1 of boxes {self.f1:.3f}, their mean IoU {self.mean_iou:.3f}'


def box_agreement(
    engine: OnnxEngine, truth: OnnxEngine, images: Sequence[np.ndarray]
) -> BoxAgreement:
    """Compare what two files find.

    Args:
        engine: Of one file.
        truth: Of the other, which is taken for right.
        images: BGR, uint8.
    """
    overlaps, found, expected = [], 0, 0
    for image in images:
        ours, theirs = engine(image)[0].above(_SURE), truth(image)[0].above(_SURE)
        found, expected = found + len(ours.scores), expected + len(theirs.scores)
        iou = _iou(ours, theirs)
        rows, columns = linear_sum_assignment(-iou)
        overlaps.append(iou[rows, columns])
    overlaps = np.concatenate([*overlaps, np.zeros(0)])
    same = overlaps[overlaps >= _SAME]
    f1 = 2 * len(same) / max(found + expected, 1)
    return BoxAgreement(f1, float(same.mean()) if len(same) else float('nan'))


def _iou(ours: BoxPredictions, theirs: BoxPredictions) -> np.ndarray:
    """``(M, N)``, 0 between classes."""
    one, other = ours.boxes[:, None], theirs.boxes[None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    inside = sides.clip(0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (one, other)]
    iou = inside / np.maximum(areas[0] + areas[1] - inside, 1e-9)
    return iou * (ours.labels[:, None] == theirs.labels)
