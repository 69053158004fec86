"""Boxes, scores and labels of mmdet's dense heads, with shapes that do not depend on the image."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from mmdet.models.dense_heads import FoveaHead, GFLHead, YOLOV3Head, YOLOXHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.task_modules.coders import BaseBBoxCoder, DeltaXYWHBBoxCoder
from mmdet.models.task_modules.coders.delta_xywh_bbox_coder import delta2bbox
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn


@dataclass
class Candidates:
    """What a suppression is to choose from, of each of B images.

    Attributes:
        boxes: ``(B, N, 4)``, ``x1 y1 x2 y2`` in pixels of the network's input.
        scores: ``(B, N)``; 0 where the score is not above the threshold.
        labels: ``(B, N)``, int64.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


Decoder = Callable[
    [BaseDenseHead, Mapping, Sequence, Sequence[Tensor], tuple[int, int]], Candidates
]
"""From a head, its test_cfg, its outputs, the priors of each level and the input's (width, height)."""


def decoder_of(head: nn.Module) -> Decoder | None:
    """Find what decodes a head as its own ``predict_by_feat`` does.

    Args:
        head: A dense head.

    Returns:
        The decoder; None if the head decodes in a way of its own.
    """
    kind = type(head)
    if getattr(getattr(head, 'loss_cls', None), 'custom_cls_channels', False):
        return None  # the loss makes the scores, as in V3Det's configs
    own = [getattr(kind, name, None) for name in _METHODS]
    return next((decoder for methods, decoder in _DECODERS if methods == own), None)


def priors_of(head: BaseDenseHead, sizes: Sequence[Sequence[int]], like: Tensor) -> list[Tensor]:
    """Make the anchors or points of a head.

    Args:
        head: The head.
        sizes: Rows and columns of each level.
        like: A tensor of their type, on their device.

    Returns:
        Of each level ``(P, 4)``, or ``(P, 2)`` for points.
    """
    strides = {'with_stride': True} if isinstance(head, YOLOXHead) else {}
    priors = head.prior_generator.grid_priors(sizes, like.dtype, device=like.device, **strides)
    return [get_box_tensor(level) for level in priors]


def _decode_dense(
    head: BaseDenseHead, cfg: Mapping, outputs: Sequence, priors: Sequence[Tensor], size: tuple
) -> Candidates:
    """RetinaNet, FCOS, ATSS, RTMDet, SSD and whatever else leaves the decoding to its base class."""
    factors = outputs[2] if len(outputs) > 2 else [None] * len(priors)

    def level(classes: Tensor, deltas: Tensor, factor: Tensor | None, points: Tensor) -> Candidates:
        classes = _rows(classes, head.cls_out_channels)
        if not head.use_sigmoid_cls:
            classes = classes.softmax(-1)[..., :-1]
        scores, where, labels = _best(classes, cfg, of_logits=head.use_sigmoid_cls)
        deltas = _take(_rows(deltas, head.bbox_coder.encode_size), where)
        boxes = _clipped(_boxes(head.bbox_coder, points[where], deltas), size, head.bbox_coder)
        if factor is not None:
            scores = scores * _rows(factor, 1).sigmoid().flatten(1).gather(1, where)
        return Candidates(boxes, scores, labels)

    levels = map(level, outputs[0], outputs[1], factors, priors)
    return _without_small(_joined(list(levels)), cfg)


def _decode_gfl(
    head: GFLHead, cfg: Mapping, outputs: Sequence, priors: Sequence[Tensor], size: tuple
) -> Candidates:
    """GFL, whose distances are expectations of a distribution."""

    def level(classes: Tensor, deltas: Tensor, stride: Sequence[int], boxes: Tensor) -> Candidates:
        scores, where, labels = _best(_rows(classes, head.cls_out_channels), cfg, of_logits=True)
        logits = _take(_rows(deltas, 4 * (head.reg_max + 1)), where).unflatten(-1, (4, -1))
        distances = (logits.softmax(-1) * head.integral.project).sum(-1) * stride[0]
        points = head.anchor_center(boxes)[where]
        boxes = _clipped(_boxes(head.bbox_coder, points, distances), size, head.bbox_coder)
        return Candidates(boxes, scores, labels)

    levels = map(level, outputs[0], outputs[1], head.prior_generator.strides, priors)
    return _without_small(_joined(list(levels)), cfg)


def _decode_fovea(
    head: FoveaHead, cfg: Mapping, outputs: Sequence, priors: Sequence[Tensor], size: tuple
) -> Candidates:
    """FoveaBox, whose distances are powers in units of the level's own length."""
    corner = priors[0].new_tensor([*size, *size]) - 1

    def level(classes: Tensor, deltas: Tensor, length: float, points: Tensor) -> Candidates:
        scores, where, labels = _best(_rows(classes, head.cls_out_channels), cfg, of_logits=True)
        distances = length * _take(_rows(deltas, 4), where).exp()
        points = points[where]
        boxes = torch.cat([points - distances[..., :2], points + distances[..., 2:]], -1)
        return Candidates(boxes.clamp(min=0).minimum(corner), scores, labels)

    levels = map(level, outputs[0], outputs[1], head.base_edge_list, priors)
    return _without_small(_joined(list(levels)), cfg)


def _decode_yolox(
    head: YOLOXHead, cfg: Mapping, outputs: Sequence, priors: Sequence[Tensor], size: tuple
) -> Candidates:
    """YOLOX: one class for each point, and no limit before suppression."""
    classes, deltas, objectness = (
        torch.cat([_rows(level, channels).float() for level in levels], 1)
        for levels, channels in zip(outputs, (head.cls_out_channels, 4, 1), strict=True)
    )
    best, labels = classes.sigmoid().max(-1)
    scores = best * objectness.sigmoid()[..., 0]
    boxes = head._bbox_decode(torch.cat(list(priors)), deltas)
    return Candidates(boxes, scores * (scores >= cfg['score_thr']), labels)


def _decode_yolov3(
    head: YOLOV3Head, cfg: Mapping, outputs: Sequence, priors: Sequence[Tensor], size: tuple
) -> Candidates:
    """YOLOv3: the thresholds are for classes and objectness apart, their product is the score."""
    rows = torch.cat([_rows(level, head.num_attrib) for level in outputs[0]], 1)
    strides = [
        level.new_full((len(level), 1), stride)
        for level, stride in zip(priors, head.featmap_strides, strict=True)
    ]
    deltas = torch.cat([rows[..., :2].sigmoid(), rows[..., 2:4]], -1)
    boxes = head.bbox_coder.decode(torch.cat(list(priors)), deltas, torch.cat(strides))
    objectness, classes = rows[..., 4].sigmoid(), rows[..., 5:].sigmoid()
    if cfg.get('conf_thr', -1) > 0:
        classes = classes * (objectness >= cfg['conf_thr'])[..., None]
    scores, where, labels = _best(classes, cfg)
    found = Candidates(
        _take(get_box_tensor(boxes), where), scores * objectness.gather(1, where), labels
    )
    return _without_small(found, cfg)


_METHODS = ('predict', 'predict_by_feat', '_predict_by_feat_single', '_bbox_post_process')
_DECODERS = [
    ([getattr(kind, name, None) for name in _METHODS], decoder)
    for kind, decoder in (
        (BaseDenseHead, _decode_dense),
        (GFLHead, _decode_gfl),
        (FoveaHead, _decode_fovea),
        (YOLOXHead, _decode_yolox),
        (YOLOV3Head, _decode_yolov3),
    )
]
"""A head that overrides none of these methods of one of these classes decodes as that one does."""


def _rows(level: Tensor, channels: int) -> Tensor:
    """``(B, A * channels, H, W)`` as ``(B, H * W * A, channels)``, the order of the priors."""
    return level.permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, channels))


def _best(classes: Tensor, cfg: Mapping, of_logits: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Of ``(B, P, C)`` the ``nms_pre`` best scores, which prior each is of, and its class."""
    count, limit = classes.shape[1] * classes.shape[2], cfg.get('nms_pre', -1)
    scores = classes.flatten(1)
    if 0 <= limit < count:
        scores, order = scores.topk(limit, sorted=False)
    else:
        order = torch.arange(count, device=scores.device).expand_as(scores)
    scores = scores.sigmoid() if of_logits else scores  # of few instead of all
    where = torch.div(order, classes.shape[2], rounding_mode='floor')
    scores = scores * (scores > cfg.get('score_thr', 0))
    return scores, where, order - where * classes.shape[2]


def _take(rows: Tensor, where: Tensor) -> Tensor:
    return rows.gather(1, where[..., None].expand(-1, -1, rows.shape[-1]))


def _boxes(coder: BaseBBoxCoder, priors: Tensor, deltas: Tensor) -> Tensor:
    """Unclipped boxes ``(B, K, 4)``."""
    if not isinstance(coder, DeltaXYWHBBoxCoder):
        return get_box_tensor(coder.decode(priors, deltas))
    clamp = dict(add_ctr_clamp=coder.add_ctr_clamp, ctr_clamp=coder.ctr_clamp)
    flat = priors.flatten(0, 1), deltas.flatten(0, 1)  # it takes no batches
    return delta2bbox(*flat, coder.means, coder.stds, **clamp).reshape(-1, priors.shape[1], 4)


def _clipped(boxes: Tensor, size: tuple[int, int], coder: BaseBBoxCoder) -> Tensor:
    if not getattr(coder, 'clip_border', True):
        return boxes
    return boxes.clamp(min=0).minimum(boxes.new_tensor([*size, *size]))


def _joined(levels: Sequence[Candidates]) -> Candidates:
    parts = ([getattr(level, name) for level in levels] for name in ('boxes', 'scores', 'labels'))
    return Candidates(*(torch.cat(part, 1) for part in parts))


def _without_small(found: Candidates, cfg: Mapping) -> Candidates:
    least = cfg.get('min_bbox_size', -1)
    if least < 0:
        return found
    sides = found.boxes[..., 2:] - found.boxes[..., :2]
    scores = found.scores * (sides > least).all(-1)
    return Candidates(found.boxes, scores, found.labels)
