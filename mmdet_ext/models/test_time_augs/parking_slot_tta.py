"""Test-time augmentation for slots and marking points."""

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.model import BaseTTAModel
from mmengine.structures import InstanceData
from torch import Tensor

from mmdet_ext.structures.slots import clipped_boxes, entrance_distances

from ..task_modules.dense_points import suppress


@MODELS.register_module()
class ParkingSlotTTAModel(BaseTTAModel):
    """Averages the predictions for rotated and mirrored copies of an image.

    Predictions of one object in several copies are found by their distance. The merged position is their
    mean weighted by score, the merged score their sum over the number of copies, so that
    what only some copies show loses score; other attributes are those of the best prediction.

    Args:
        point_radius: Points this close are one, pixels of a 600-pixel-high image.
        slot_radius: Slots whose entrance corners are this close, in order, are one, likewise.
        kwargs: As for :class:`mmengine.model.BaseTTAModel`.
    """

    def __init__(self, point_radius: float = 10.0, slot_radius: float = 30.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.point_radius = point_radius
        self.slot_radius = slot_radius

    def merge_preds(self, data_samples_list: list[list[DetDataSample]]) -> list[DetDataSample]:
        """Merge the samples of each image's copies.

        Args:
            data_samples_list: Per image, one sample per copy, in pixels of the original image.

        Returns:
            One sample per image.
        """
        return [self._merge(copies) for copies in data_samples_list]

    def _merge(self, copies: list[DetDataSample]) -> DetDataSample:
        merged = copies[0]
        height, width = merged.ori_shape[:2]
        points = _by_score(InstanceData.cat([c.pred_marking_points for c in copies]))
        slots = _by_score(InstanceData.cat([c.pred_instances for c in copies]))
        gap = torch.cdist(points.points, points.points)
        near = gap < self.point_radius * height / 600
        merged.pred_marking_points = merge_near(points, near, 'points', len(copies))
        near = entrance_distances(slots.corners, slots.corners) < self.slot_radius * height / 600
        slots = merge_near(slots, near, 'corners', len(copies))
        slots.bboxes = clipped_boxes(slots.corners, width, height)
        merged.pred_instances = slots
        return merged


def merge_near(instances: InstanceData, near: Tensor, position: str, copies: int) -> InstanceData:
    """Merge instances that are near a better one into it.

    Args:
        instances: With ``scores`` in descending order, ``(N,)``.
        near: Which pairs belong together, ``(N, N)``.
        position: Name of the attribute to average, ``(N, ...)``.
        copies: Number of predictions that a full score takes.

    Returns:
        The merged instances, in descending order of score.
    """
    scores = instances.scores
    kept = suppress(scores[None], (~near).to(scores)[None], 0.5)[0] > 0
    weight = near[kept].to(scores) * scores
    total = weight.sum(1)
    values = instances[position]
    mean = (weight @ values.flatten(1)) / total[:, None]
    merged = instances[kept]
    merged[position] = mean.reshape(-1, *values.shape[1:])
    merged.scores = (total / copies).clamp(max=1)
    return _by_score(merged)


def _by_score(instances: InstanceData) -> InstanceData:
    return instances[instances.scores.argsort(descending=True)]
