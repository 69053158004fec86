"""Assignment by optimal transport."""

import torch
from mmdet.models.task_modules.assigners import AssignResult, BaseAssigner
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData
from torch import Tensor

from .matching import assign_result, dynamic_counts, inside_boxes, near_centres
from .optimal_transport import sinkhorn_plan

_OUTSIDE = 100.0  # cost of a prior outside an object or its centre; more than any IoU loss


@TASK_UTILS.register_module()
class OTAAssigner(BaseAssigner):
    """Assign objects to priors at the least cost over the whole image.

    Ge et al., OTA: Optimal Transport Assignment for Object Detection, CVPR 2021. Objects supply as many
    positive labels as their predictions are good (dynamic k estimation), the background supplies
    the rest, every prior takes one label; what a label costs at a prior is its classification loss plus
    ``iou_weight`` times its IoU loss, and much more outside the object's centre region. The plan is
    found by the Sinkhorn-Knopp iteration; a prior belongs to whoever sends it most, relative to the most
    that he sends to any.

    Stands in for mmdet's ``SimOTAAssigner``, e.g. in ``YOLOXHead``. As there, only priors inside an object
    or a centre region take part, all others are background, and ``gt_instances_ignore`` is not used.
    Predictions that are not finite are treated as the worst ones. With no more priors than positive
    labels there is nothing to transport: each prior takes the object that costs least there.

    Args:
        center_radius: Half the side of the centre region, in strides.
        candidate_topk: Of how many predictions the IoUs are summed to the number of positives.
        iou_weight: Of the IoU loss, ``-log(IoU)`` (the paper has 1.5, its code 3).
        cls_cost: Classification loss, ``focal`` or ``bce``.
        focal_gamma: Exponent of the focal loss.
        focal_alpha: Weight of positives in the focal loss, 0-1.
        scores_are_logits: The head hands over logits, as ``RTMDetHead`` does, not probabilities, as
            ``YOLOXHead`` does.
        epsilon: Weight of the entropy in the transport.
        iterations: Of Sinkhorn-Knopp.
        iou_calculator: Config of the IoU.

    Raises:
        ValueError: ``cls_cost`` is unknown; in :meth:`assign`: the head hands over no predictions, or
            scores that are no probabilities.
    """

    def __init__(
        self,
        center_radius: float = 2.5,
        candidate_topk: int = 20,
        iou_weight: float = 3.0,
        cls_cost: str = 'focal',
        focal_gamma: float = 2.0,
        focal_alpha: float = 0.25,
        scores_are_logits: bool = False,
        epsilon: float = 0.1,
        iterations: int = 50,
        iou_calculator: dict = dict(type='BboxOverlaps2D'),
    ) -> None:
        if cls_cost not in ('focal', 'bce'):
            raise ValueError(f"cls_cost of OTAAssigner is {cls_cost!r}; expected 'focal' or 'bce'.")
        self.center_radius = center_radius
        self.candidate_topk = candidate_topk
        self.iou_weight = iou_weight
        self.cls_cost = cls_cost
        self.focal_gamma = focal_gamma
        self.focal_alpha = focal_alpha
        self.scores_are_logits = scores_are_logits
        self.epsilon = epsilon
        self.iterations = iterations
        self.iou_calculator = TASK_UTILS.build(iou_calculator)

    @torch.no_grad()
    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs,
    ) -> AssignResult:
        """Assign objects to priors.

        Args:
            pred_instances: ``bboxes`` (N, 4) and ``scores`` (N, C) predicted at ``priors`` (N, 4), which
                are ``x y stride_x stride_y``; in pixels.
            gt_instances: ``bboxes`` (G, 4) and ``labels`` (G,).
            gt_instances_ignore: Not used.
            kwargs: Not used.

        Returns:
            The object of each prior; ``max_overlaps`` holds the IoU of its prediction with it.
        """
        _require_predictions(pred_instances)
        priors, boxes = pred_instances.priors.float(), gt_instances.bboxes.float()
        overlaps = self.iou_calculator(pred_instances.bboxes.float(), boxes).nan_to_num(0)
        matched = torch.full((len(priors),), -1, device=priors.device)
        inside = inside_boxes(priors[:, :2], boxes)
        central = near_centres(priors, boxes, self.center_radius)
        taking_part = (inside | central).any(1)
        if taking_part.any():
            matched[taking_part] = self._match(
                self._probabilities(pred_instances.scores[taking_part]),
                overlaps[taking_part],
                (inside & central)[taking_part],
                gt_instances.labels,
            )
        return assign_result(matched, overlaps, gt_instances.labels)

    def _match(self, scores: Tensor, overlaps: Tensor, central: Tensor, labels: Tensor) -> Tensor:
        counts = dynamic_counts(overlaps * central, self.candidate_topk)
        classification, background = self._classification_costs(scores, labels)
        cost = classification - self.iou_weight * (overlaps + 1e-7).log() + _OUTSIDE * ~central
        cost = cost.nan_to_num(2 * _OUTSIDE)
        left = len(scores) - int(counts.sum())
        if left <= 0:
            return cost.argmin(1)
        supply = torch.cat([counts, counts.new_tensor([left])])
        cost = torch.cat([cost, background.nan_to_num(0)[:, None]], 1).T
        demand = torch.ones_like(background)
        plan = sinkhorn_plan(cost, supply, demand, self.epsilon, self.iterations)
        object_of = (plan / plan.amax(1, keepdim=True)).argmax(0)
        return torch.where(object_of < len(labels), object_of, -1)

    def _classification_costs(self, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Losses of all classes together: as each object ``(N, G)``, and as background ``(N,)``."""
        scores = scores.clamp(1e-6, 1 - 1e-6)
        positive, negative = -scores.log(), -(1 - scores).log()
        if self.cls_cost == 'focal':
            positive = self.focal_alpha * (1 - scores) ** self.focal_gamma * positive
            negative = (1 - self.focal_alpha) * scores**self.focal_gamma * negative
        background = negative.sum(1)
        return background[:, None] + (positive - negative)[:, labels.long()], background

    def _probabilities(self, scores: Tensor) -> Tensor:
        scores = scores.float()
        if self.scores_are_logits:
            return scores.sigmoid()
        if ((scores < 0) | (scores > 1)).any():
            raise ValueError(
                f'OTAAssigner got scores from {scores.min():.3g} to {scores.max():.3g}; expected '
                'probabilities: set `scores_are_logits=True` for a head that hands over logits, such as '
                'RTMDetHead.'
            )
        return scores


def _require_predictions(pred_instances: InstanceData) -> None:
    missing = [name for name in ('bboxes', 'scores') if name not in pred_instances]
    if missing:
        raise ValueError(
            f'OTAAssigner needs predictions, but the head hands over no {" and no ".join(missing)}: use a '
            'head that does, such as YOLOXHead or RTMDetHead.'
        )
