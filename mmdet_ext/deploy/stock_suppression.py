"""Non-maximum suppression as one standard ONNX node, for a whole batch."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torchvision.ops import nms

_OPTIONS = {'type', 'iou_threshold', 'class_agnostic', 'split_thr'}


def check_exportable_nms(nms_cfg: Mapping | None) -> None:
    """Refuse what ONNX's ``NonMaxSuppression`` cannot do.

    Args:
        nms_cfg: ``nms`` of a ``test_cfg``.

    Raises:
        ValueError: It is no plain NMS.
    """
    cfg = dict(nms_cfg or {})
    if cfg.get('type', 'nms') != 'nms' or 'iou_threshold' not in cfg or set(cfg) - _OPTIONS:
        raise ValueError(
            f'test_cfg.nms is {cfg or None}, and ONNX has plain suppression only: export with '
            '--cfg-options model.test_cfg.nms="dict(type=\'nms\', iou_threshold=0.5)".'
        )


def suppress(
    boxes: Tensor, scores: Tensor, labels: Tensor, nms_cfg: Mapping, max_per_image: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Keep the best boxes that no better box of their class overlaps, as mmdet's ``batched_nms`` does.

    Args:
        boxes: ``(B, N, 4)``, ``x1 y1 x2 y2``.
        scores: ``(B, N)``; 0 where there is no box.
        labels: ``(B, N)``, int64.
        nms_cfg: ``iou_threshold``, and ``class_agnostic`` for boxes of all classes together.
        max_per_image: Boxes to keep of an image.

    Returns:
        Boxes ``(B, K, 4)``, scores ``(B, K)``, descending, and labels ``(B, K)``; K is
        ``max_per_image``, or N if that is less. Where an image has fewer, all three are 0.
    """
    kept = min(max_per_image, boxes.shape[1])
    apart = boxes if nms_cfg.get('class_agnostic') else _classes_apart(boxes, scores, labels)
    selected = _select(apart, scores[:, None], kept, float(nms_cfg['iou_threshold']))
    places = selected[:, 0] * boxes.shape[1] + selected[:, 2]
    none = scores.flatten() * 0  # torch's older exporter would make a constant of zeros_like
    mask = none.index_put((places,), scores.new_ones(()))
    best, order = (scores * mask.reshape(-1, boxes.shape[1])).topk(kept)
    found = best > 0
    boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
    return boxes * found[..., None], best, labels.gather(1, order) * found


def _classes_apart(boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
    """Move each class so far away that its boxes overlap none of another, wherever they lie."""
    real = (boxes * (scores > 0)[..., None]).flatten(1)
    span = real.amax(1, keepdim=True) - real.amin(1, keepdim=True) + 1
    return boxes + (labels * span)[..., None]


def _select(boxes: Tensor, scores: Tensor, most: int, iou_threshold: float) -> Tensor:
    """Image, class and box ``(M, 3)`` of what stays, by ONNX's ``NonMaxSuppression``."""
    if not torch.onnx.is_in_onnx_export() or torch.jit.is_tracing():
        return _NonMaxSuppression.apply(boxes, scores, most, iou_threshold)
    limits = (torch.tensor([most]), torch.tensor([iou_threshold]), torch.tensor([0.0]))
    unknown = (scores > 0).sum().item()  # any number that tracing cannot know; the node ignores it
    return torch.onnx.ops.symbolic(
        'NonMaxSuppression', (boxes, scores, *limits), dtype=torch.int64, shape=(unknown, 3)
    )


class _NonMaxSuppression(torch.autograd.Function):
    """The node in torch, and for torch's older exporter."""

    @staticmethod
    def forward(ctx, boxes: Tensor, scores: Tensor, most: int, iou_threshold: float) -> Tensor:
        rows = []
        for image, (candidates, values) in enumerate(zip(boxes, scores[:, 0], strict=True)):
            real = values.gt(0).nonzero()[:, 0]
            kept = real[nms(candidates[real], values[real], iou_threshold)[:most]]
            where = torch.tensor([[image, 0]]).to(kept).expand(len(kept), 2)
            rows.append(torch.cat([where, kept[:, None]], 1))
        return torch.cat(rows)

    @staticmethod
    def symbolic(g, boxes, scores, most: int, iou_threshold: float):
        limits = (torch.tensor([most]), torch.tensor([iou_threshold]), torch.tensor([0.0]))
        constants = [g.op('Constant', value_t=limit) for limit in limits]
        return g.op('NonMaxSuppression', boxes, scores, *constants)
