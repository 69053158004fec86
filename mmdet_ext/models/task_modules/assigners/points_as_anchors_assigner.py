"""Assigners of anchors in heads of points."""

from inspect import signature

import torch
from mmdet.models.task_modules.assigners import AssignResult, ATSSAssigner, BaseAssigner
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData


@TASK_UTILS.register_module()
class PointsAsAnchorsAssigner(BaseAssigner):
    """Let an assigner of anchors serve a head of points, such as ``YOLOXHead`` or ``RTMDetHead``.

    Each point stands for one square anchor around it, as in ATSS. ``max_overlaps`` of the result are the
    IoUs of the predictions, which such heads learn as quality, not those of the anchors.

    Args:
        assigner: Config of the assigner, such as ``MaxIoUAssigner``, ``ATSSAssigner`` or
            ``TaskAlignedAssigner``.
        scale: Side of the anchors, in strides.
        iou_calculator: Config of the IoU.
    """

    def __init__(
        self,
        assigner: dict,
        scale: float = 8.0,
        iou_calculator: dict = dict(type='BboxOverlaps2D'),
    ) -> None:
        self.assigner = TASK_UTILS.build(assigner)
        self.scale = scale
        self.iou_calculator = TASK_UTILS.build(iou_calculator)
        self._by_level = 'num_level_priors' in signature(self.assigner.assign).parameters

    @torch.no_grad()
    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs,
    ) -> AssignResult:
        """Assign objects to points.

        Args:
            pred_instances: ``bboxes`` (N, 4) and ``scores`` (N, C) predicted at ``priors`` (N, 4), which
                are ``x y stride_x stride_y`` and in order of their levels; in pixels.
            gt_instances: ``bboxes`` (G, 4) and ``labels`` (G,).
            gt_instances_ignore: For the assigner, which may use it.
            kwargs: Not used.

        Returns:
            The object of each point.
        """
        # In float32: TaskAlignedAssigner fails in bfloat16.
        points, strides = pred_instances.priors.float().split(2, 1)
        boxes, scores = pred_instances.bboxes.float(), pred_instances.scores.float()
        half = strides * (self.scale / 2)
        anchors = InstanceData(priors=torch.cat([points - half, points + half], 1))
        static = isinstance(self.assigner, ATSSAssigner) and self.assigner.alpha is None
        if not static:  # ATSS warns of predictions that it does not use
            anchors.bboxes, anchors.scores = boxes, scores
        levels = strides[:, 0].unique_consecutive(return_counts=True)[1].tolist()
        counts = [levels] if self._by_level else []
        result = self.assigner.assign(anchors, *counts, gt_instances, gt_instances_ignore)
        positive = result.gt_inds > 0
        overlaps = self.iou_calculator(
            boxes[positive], gt_instances.bboxes[result.gt_inds[positive] - 1], is_aligned=True
        )
        result.max_overlaps = overlaps.new_zeros(len(points)).masked_scatter(positive, overlaps)
        return result
