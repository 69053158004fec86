"""Squeeze-and-excitation (SE)."""

from mmdet.models.layers import SELayer
from mmdet.registry import MODELS
from torch import Tensor

from .base import AttentionLayer


@MODELS.register_module()
class SqueezeExcitation(AttentionLayer):
    """Squeeze-and-excitation (SE): mmdet's ``SELayer``, registered.

    Hu, Shen, Albanie, Sun and Wu: Squeeze-and-Excitation Networks, CVPR 2018, arXiv:1709.01507.

    ``y_c = x_c * sigmoid(W2 relu(W1 mean_hw(x)))_c``

    Args:
        in_channels: Channels of the maps.
        reduction: The MLP has ``in_channels // reduction`` hidden units.
        init_cfg: As for any mmengine module.
    """

    def __init__(self, in_channels: int, reduction: int = 16, init_cfg: dict | None = None) -> None:
        super().__init__(in_channels, init_cfg)
        self.reduce(reduction)
        self.excitation = SELayer(in_channels, ratio=reduction)

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        return self.excitation(x)
