"""Single predictions of a detector: which are explained, and which of another pass are the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torchvision.ops import box_iou

from mmdet_ext.models.detectors import ParkingSlotDetector
from mmdet_ext.structures.slots import entrance_distances

TARGETS = ('all', 'boxes', 'slots', 'points')


@dataclass(frozen=True)
class Prediction:
    """A box, slot or marking point that a detector reports.

    Attributes:
        kind: ``boxes``, ``slots`` or ``points``.
        index: Its place among all of its kind, best first.
        label: Its class; None for points.
        score: As reported.
        outline: Its corners, or the point, in pixels of the original image, ``(K, 2)``.
    """

    kind: str
    index: int
    label: int | None
    score: float
    outline: np.ndarray

    @property
    def name(self) -> str:
        """Such as ``slot 2``."""
        return f'{dict(boxes="box").get(self.kind, self.kind[:-1])} {self.index}'


def instances_of(model: nn.Module, sample: DetDataSample) -> dict[str, InstanceData]:
    """What a model reports about an image, by kind."""
    if isinstance(model, ParkingSlotDetector):
        return {'slots': sample.pred_instances, 'points': sample.pred_marking_points}
    return {'boxes': sample.pred_instances}


def select_predictions(
    found: dict[str, InstanceData],
    target: str = 'all',
    index: Sequence[int] = (),
    score_threshold: float = 0.3,
    top_k: int = 5,
) -> list[Prediction]:
    """Choose what to explain.

    Args:
        found: See :func:`instances_of`.
        target: One of :data:`TARGETS`.
        index: These of each kind, best first from 0; otherwise the best ones.
        score_threshold: Lowest score of the best ones.
        top_k: Most of each kind.

    Returns:
        Predictions.

    Raises:
        ValueError: The model predicts nothing of that kind, or not that many, or nothing that sure.
    """
    if target not in TARGETS:
        raise ValueError(f'target is {target!r}; expected one of {TARGETS}.')
    if target != 'all' and target not in found:
        raise ValueError(f'target is {target!r}, but this model predicts {" and ".join(found)}.')
    kinds = list(found) if target == 'all' else [target]
    chosen = []
    for kind in kinds:
        scores = found[kind].scores
        order = scores.argsort(descending=True, stable=True)
        rows = [i for i in index if 0 <= i < len(scores)]
        if not index:
            rows = range(min(int((scores >= score_threshold).sum()), top_k))
        chosen += [_prediction(kind, i, found[kind][int(order[i])]) for i in rows]
    missing = set(index) - {prediction.index for prediction in chosen}
    counts = ' and '.join(f'{len(found[kind])} {kind}' for kind in kinds)
    if missing:
        raise ValueError(
            f'index has {min(missing)}, but of this image the model predicts {counts}.'
        )
    if not chosen:
        best = max(
            (found[kind].scores.max().item() for kind in kinds if len(found[kind])), default=0
        )
        raise ValueError(
            f'none of the {counts} of this image scores {score_threshold} or more (the best: '
            f'{best:.3f}): take a lower score threshold.'
        )
    return chosen


def _prediction(kind: str, index: int, instance: InstanceData) -> Prediction:
    label = int(instance.labels) if kind != 'points' else None
    corners = {'boxes': 'bboxes', 'slots': 'corners', 'points': 'points'}[kind]
    outline = instance[corners].detach().cpu().double().numpy()[0]
    if kind == 'boxes':
        outline = outline[[0, 1, 2, 1, 2, 3, 0, 3]]
    return Prediction(kind, index, label, instance.scores.item(), outline.reshape(-1, 2))


def score_tensor(found: dict[str, InstanceData], prediction: Prediction) -> Tensor:
    """The reported score of a prediction, with its graph."""
    return found[prediction.kind].scores.sort(descending=True, stable=True)[0][prediction.index]


def scores_again(
    model: nn.Module, sample: DetDataSample, predictions: Sequence[Prediction]
) -> Tensor:
    """How sure the model is of the same predictions in another pass.

    The same is a box of the same class that overlaps by half, a slot whose entrance corners are within
    the radius in which the head suppresses doubles, a point within that of points.

    Args:
        model: The detector.
        sample: What it reported in that pass.
        predictions: What it reported before.

    Returns:
        Best score of each, 0 for what is gone, ``(P,)``.
    """
    found = instances_of(model, sample)
    scores = [
        (_same(model, found[p.kind], p, sample.ori_shape[0]) * found[p.kind].scores).max()
        if len(found[p.kind])
        else torch.tensor(0.0)
        for p in predictions
    ]
    return torch.stack([score.detach().cpu().float() for score in scores])


def _same(model: nn.Module, found: InstanceData, prediction: Prediction, height: int) -> Tensor:
    outline = torch.from_numpy(prediction.outline).to(found.scores)
    if prediction.kind == 'boxes':
        box = outline[[0, 2]].flatten()[None]
        overlap = box_iou(box, found.bboxes.to(box))[0]
        return (overlap >= 0.5) & (found.labels == prediction.label)
    decoding = model.bbox_head.decoding
    if prediction.kind == 'slots':
        distance = entrance_distances(outline[None], found.corners.to(outline))[0]
        return distance <= decoding.slot_radius * height / 600
    distance = torch.cdist(outline, found.points.to(outline))[0]
    return distance <= decoding.point_radius * height / 600
