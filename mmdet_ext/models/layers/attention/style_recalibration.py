"""Style-based recalibration (SRM)."""

import torch
from mmcv.cnn import build_norm_layer
from mmdet.registry import MODELS
from torch import Tensor, nn

from .base import AttentionLayer, at_least_float32


@MODELS.register_module()
class StyleRecalibration(AttentionLayer):
    """Style-based recalibration module (SRM).

    Lee, Kim and Nam: SRM: A Style-Based Recalibration Module for Convolutional Neural Networks, ICCV
    2019, arXiv:1903.10829.

    ``y_c = x_c * sigmoid(BN(w_c . [mean_hw(x_c), std_hw(x_c)]))``; w is 0 at the start, as in the
    authors' code.

    Args:
        in_channels: Channels of the maps.
        norm_cfg: Normalisation of the ``(B, C, 1, 1)`` weights. Batch normalisation needs two or more
            images a batch in training.
        eps: Added to the variance.
        init_cfg: As for any mmengine module.
    """

    def __init__(
        self,
        in_channels: int,
        norm_cfg: dict = dict(type='BN'),
        eps: float = 1e-5,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(in_channels, init_cfg)
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(2, in_channels))
        self.norm = build_norm_layer(norm_cfg, in_channels)[1]

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        variance, mean = torch.var_mean(at_least_float32(x), (2, 3), unbiased=False)
        style = torch.stack([mean, (variance + self.eps).sqrt()], dim=1)  # (B, 2, C)
        weights = (style * self.weight).sum(1).to(x.dtype)
        return x * self.norm(weights[..., None, None]).sigmoid()
