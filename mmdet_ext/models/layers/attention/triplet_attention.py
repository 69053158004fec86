"""Triplet attention."""

from mmdet.registry import MODELS
from torch import Tensor

from .base import AttentionLayer
from .convolutional_block_attention import SpatialGate


@MODELS.register_module()
class TripletAttention(AttentionLayer):
    """Triplet attention: pairs of dimensions attend to each other in three branches.

    Misra, Nalamada, Arasanipalai and Hou: Rotate to Attend: Convolutional Triplet Attention Module,
    WACV 2021, arXiv:2010.03045.

    ``y = (g_1(x) + g_2(x) + g_3(x)) / 3``, ``g_d(x) = x * sigmoid(BN(conv([mean_d(x), max_d(x)])))``,
    d the channel, row and column dimension.

    Args:
        in_channels: Channels of the maps; no weight depends on them.
        kernel_size: Of the convolutions, odd.
        norm_cfg: Their normalisation.
        init_cfg: As for any mmengine module.
    """

    def __init__(
        self,
        in_channels: int,
        kernel_size: int = 7,
        norm_cfg: dict | None = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(in_channels, init_cfg)
        self.channels = SpatialGate(kernel_size, norm_cfg)
        self.rows = SpatialGate(kernel_size, norm_cfg)
        self.columns = SpatialGate(kernel_size, norm_cfg)

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        by_row = self.rows(x.transpose(1, 2)).transpose(1, 2)
        by_column = self.columns(x.transpose(1, 3)).transpose(1, 3)
        return (self.channels(x) + by_row + by_column) / 3
