"""Positives drawn at random, where predictions are likely to be good."""

import torch
from mmdet.models.task_modules.assigners import AssignResult, BaseAssigner
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData
from torch import Tensor

from .matching import assign_result, dynamic_counts


@TASK_UTILS.register_module()
class QualitySamplingAssigner(BaseAssigner):
    """Draw each object's positives from its quality distribution.

    The sampling of Ma et al., IQDet: Instance-wise Quality Distribution Sampling for Object Detection,
    CVPR 2021; for ``IQDetHead``, which estimates the distributions. An object draws as many different
    priors as its predictions are good (see :func:`~.matching.dynamic_counts`); one that several
    draw goes to the object for which it is likeliest.

    Args:
        candidate_topk: Of how many predictions the IoUs are summed to the number of draws.
        iou_calculator: Config of the IoU.
    """

    def __init__(
        self, candidate_topk: int = 10, iou_calculator: dict = dict(type='BboxOverlaps2D')
    ) -> None:
        self.candidate_topk = candidate_topk
        self.iou_calculator = TASK_UTILS.build(iou_calculator)

    @torch.no_grad()
    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        *,
        log_probabilities: Tensor,
        **kwargs,
    ) -> AssignResult:
        """Draw positives.

        Args:
            pred_instances: ``bboxes`` (N, 4).
            gt_instances: ``bboxes`` (G, 4) and ``labels`` (G,).
            gt_instances_ignore: Not used.
            log_probabilities: Of the priors for each object, ``(N, G)``; -inf where it draws none.
            kwargs: Not used.

        Returns:
            The object of each prior; ``max_overlaps`` holds the IoU of its prediction with it.
        """
        overlaps = self.iou_calculator(pred_instances.bboxes, gt_instances.bboxes).nan_to_num(0)
        possible = log_probabilities.isfinite()
        matched = torch.full((len(overlaps),), -1, device=overlaps.device)
        if possible.any():
            counts = dynamic_counts(overlaps * possible, self.candidate_topk)
            drawn = draw(log_probabilities, counts)
            likelihood, likeliest = log_probabilities.masked_fill(~drawn, -torch.inf).max(1)
            matched = torch.where(likelihood.isfinite(), likeliest, -1)
        return assign_result(matched, overlaps, gt_instances.labels)


def draw(log_probabilities: Tensor, counts: Tensor) -> Tensor:
    """Draw priors without replacement, for all objects at once.

    Gumbel noise on log-probabilities makes the k largest a sample of k (Kool et al., Stochastic Beams
    and Where to Find Them, 2019).

    Args:
        log_probabilities: Shape ``(N, G)``; -inf is never drawn.
        counts: How many to draw, ``(G,)``; less where fewer can be.

    Returns:
        Which are drawn, ``(N, G)``.
    """
    noise = -torch.empty_like(log_probabilities).exponential_().log()
    keys, order = (log_probabilities + noise).topk(min(int(counts.max()), len(noise)), dim=0)
    rank = torch.arange(len(keys), device=keys.device)[:, None]
    chosen = (rank < counts) & keys.isfinite()
    return torch.zeros_like(noise, dtype=torch.bool).scatter(0, order, chosen)
