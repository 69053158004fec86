"""Cross-entropy with label smoothing, for softmax and sigmoid."""

import torch
import torch.nn.functional as F
from mmdet.models.losses import CrossEntropyLoss
from mmdet.registry import MODELS
from torch import Tensor

from .reduction import at_least_float32, reduce_items


def smoothed_cross_entropy(
    pred: Tensor, target: Tensor, smoothing: float, class_weight: Tensor | None = None
) -> Tensor:
    """Softmax cross-entropy against a target that gives ``smoothing`` to all classes in equal parts.

    Args:
        pred: Logits ``(N, C)``.
        target: Classes ``(N,)``; a negative one is ignored. Or probabilities ``(N, C)``.
        smoothing: In [0, 1).
        class_weight: Shape ``(C,)``.

    Returns:
        Shape ``(N,)``.
    """
    if target.dim() == pred.dim():
        target = target.to(pred)
    else:
        target = torch.where(target < 0, -100, target.long())
    return F.cross_entropy(
        pred, target, class_weight, ignore_index=-100, reduction='none', label_smoothing=smoothing
    )


def smoothed_binary_cross_entropy(
    pred: Tensor, target: Tensor, smoothing: float, pos_weight: Tensor | None = None
) -> Tensor:
    """Sigmoid cross-entropy against ``target * (1 - smoothing) + smoothing / 2``.

    Args:
        pred: Logits ``(N, C)`` or ``(N,)``.
        target: Classes ``(N,)`` for logits ``(N, C)``, where C is the background and a negative one is
            ignored; or targets in [0, 1] of the shape of the logits, of which negative ones are ignored.
        smoothing: In [0, 1).
        pos_weight: Weight of the targets of 1, shape ``(C,)``.

    Returns:
        Of the shape of the logits.
    """
    target, known = binary_targets(pred, target)
    smoothed = target * (1 - smoothing) + smoothing / 2
    losses = F.binary_cross_entropy_with_logits(
        pred, smoothed, pos_weight=pos_weight, reduction='none'
    )
    return losses * known


def binary_targets(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Targets of sigmoids, and which of them are known.

    Args:
        pred: Logits ``(N, C)`` or ``(N,)``.
        target: Classes ``(N,)`` for logits ``(N, C)``, C for the background, negative for unknown; or
            targets in [0, 1] of the shape of the logits, negative for unknown.

    Returns:
        Targets in [0, 1] of the shape of the logits, and a mask of that shape or ``(N, 1)``.

    Raises:
        ValueError: The shapes do not fit, or a class is greater than C.
    """
    if target.shape == pred.shape:
        return target.to(pred).clamp(min=0), target >= 0
    if target.shape != pred.shape[:1] or pred.dim() != 2:
        raise ValueError(
            f'the targets {tuple(target.shape)} do not fit logits {tuple(pred.shape)}: give a class of '
            'each row, or a target of each logit.'
        )
    classes = torch.arange(pred.shape[1], device=pred.device)
    return (target[:, None] == classes).to(pred), (target >= 0)[:, None]


@MODELS.register_module()
class SmoothedCrossEntropyLoss(CrossEntropyLoss):
    """mmdet's ``CrossEntropyLoss`` with label smoothing.

    From Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2016. With softmax, each class, the background among them, gets ``smoothing / C`` of the target. With
    sigmoid each logit is a decision between two classes: 1 becomes ``1 - smoothing / 2`` and 0 becomes
    ``smoothing / 2``.

    Args:
        use_sigmoid: Sigmoid instead of softmax. mmdet's heads read it in the config, so it must be there.
        smoothing: In [0, 1); 0 is plain cross-entropy.
        kwargs: As for mmdet's ``CrossEntropyLoss``, without ``use_mask``.

    Raises:
        ValueError: ``smoothing`` is out of range.
    """

    def __init__(self, use_sigmoid: bool, smoothing: float = 0.1, **kwargs) -> None:
        super().__init__(use_sigmoid=use_sigmoid, use_mask=False, **kwargs)
        if not 0 <= smoothing < 1:
            raise ValueError(
                f'SmoothedCrossEntropyLoss: smoothing is {smoothing}, but must be at least 0 and less '
                'than 1.'
            )
        self.smoothing = smoothing
        self.cls_criterion = self._reduced

    def _reduced(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        *,
        class_weight: Tensor | None,
        reduction: str,
        avg_factor: float | None,
        ignore_index: int | None,
        avg_non_ignore: bool,
    ) -> Tensor:
        function = smoothed_binary_cross_entropy if self.use_sigmoid else smoothed_cross_entropy
        if ignore_index is not None:
            target = torch.where(target == ignore_index, -1, target)
        if avg_factor is None and avg_non_ignore and reduction == 'mean':
            each = pred[:1].numel() if self.use_sigmoid and target.dim() < pred.dim() else 1
            avg_factor = (target >= 0).sum() * each
        class_weight = None if class_weight is None else at_least_float32(class_weight)
        losses = function(at_least_float32(pred), target, self.smoothing, class_weight)
        return reduce_items(losses, weight, reduction, avg_factor)
