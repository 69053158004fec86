"""Coordinate attention."""

import torch
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from torch import Tensor, nn

from .base import AttentionLayer


@MODELS.register_module()
class CoordinateAttention(AttentionLayer):
    """Coordinate attention: channel weights that depend on the row and on the column.

    Hou, Zhou and Feng: Coordinate Attention for Efficient Mobile Network Design, CVPR 2021,
    arXiv:2103.02907.

    ``f = hardswish(BN(W1 [mean_w(x), mean_h(x)]))``, ``y = x * sigmoid(W_h f_h) * sigmoid(W_w f_w)``

    Args:
        in_channels: Channels of the maps.
        reduction: f has ``in_channels // reduction`` channels, but at least 8.
        norm_cfg: Normalisation.
        init_cfg: As for any mmengine module.
    """

    def __init__(
        self,
        in_channels: int,
        reduction: int = 32,
        norm_cfg: dict = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(in_channels, init_cfg)
        hidden = max(8, in_channels // reduction)
        self.shared = ConvModule(
            in_channels, hidden, 1, norm_cfg=norm_cfg, act_cfg=dict(type='HSwish')
        )
        self.rows = nn.Conv2d(hidden, in_channels, 1)
        self.columns = nn.Conv2d(hidden, in_channels, 1)

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        by_row, by_column = x.mean(3, keepdim=True), x.mean(2, keepdim=True)
        both = self.shared(torch.cat([by_row, by_column.transpose(2, 3)], dim=2))
        by_row, by_column = both.split([x.shape[2], x.shape[3]], dim=2)
        columns = self.columns(by_column.transpose(2, 3)).sigmoid()
        return x * self.rows(by_row).sigmoid() * columns
