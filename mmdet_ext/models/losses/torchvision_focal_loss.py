"""The focal loss of torchvision in mmdet's slots."""

from mmdet.registry import MODELS
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from .reduction import ReducedLoss, at_least_float32
from .smoothed_cross_entropy_loss import binary_targets


@MODELS.register_module()
class TorchvisionFocalLoss(ReducedLoss):
    """Focal loss on sigmoids (Lin et al., Focal Loss for Dense Object Detection, 2017) by torchvision.

    Equal to mmdet's ``FocalLoss``, and besides takes a negative ``alpha``, targets between 0 and 1, and
    ignores negative targets.

    Predictions are logits ``(N, C)``; targets are classes ``(N,)``, C for the background, or values in
    [0, 1] ``(N, C)``.

    Args:
        use_sigmoid: Must be True. mmdet's heads read it in the config, so it must be there.
        gamma: Exponent of the modulating factor: 0, or at least 1.
        alpha: Weight of positives in [0, 1], that of negatives being ``1 - alpha``; a negative value
            leaves both at 1.
        reduction: ``none``, ``mean`` or ``sum``.
        loss_weight: Factor of the loss.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        use_sigmoid: bool,
        gamma: float = 2.0,
        alpha: float = 0.25,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(reduction, loss_weight)
        if use_sigmoid is not True:
            raise ValueError(
                'TorchvisionFocalLoss: set use_sigmoid=True, softmax is not supported.'
            )
        if gamma != 0 and not gamma >= 1:
            raise ValueError(
                f'TorchvisionFocalLoss: gamma is {gamma}, but must be 0 or at least 1: between them the '
                'gradient of a certain prediction is not finite.'
            )
        if not alpha <= 1:
            raise ValueError(
                f'TorchvisionFocalLoss: alpha is {alpha}, but must be in [0, 1], or negative for no '
                'weighting.'
            )
        self.use_sigmoid, self.gamma, self.alpha = True, gamma, alpha

    def item_losses(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss of each logit: of the shape of the prediction."""
        pred = at_least_float32(pred)
        target, known = binary_targets(pred, target)
        alpha = -1 if self.alpha < 0 else self.alpha
        return sigmoid_focal_loss(pred, target, alpha, self.gamma) * known
