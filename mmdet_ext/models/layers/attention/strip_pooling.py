"""Strip pooling."""

from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from torch import Tensor, nn

from .base import AttentionLayer


@MODELS.register_module()
class StripPooling(AttentionLayer):
    """Strip pooling: context along whole rows and columns.

    Hou, Zhang, Cheng and Feng: Strip Pooling: Rethinking Spatial Pooling for Scene Parsing, CVPR 2020,
    arXiv:2003.13328.

    ``y = x * sigmoid(W relu(BN(conv(mean_w(x))) + BN(conv(mean_h(x)))))``, convolutions along the
    rows and along the columns.

    Args:
        in_channels: Channels of the maps.
        kernel_size: Of these convolutions, odd.
        norm_cfg: Their normalisation.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: An even kernel.
    """

    def __init__(
        self,
        in_channels: int,
        kernel_size: int = 3,
        norm_cfg: dict = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(in_channels, init_cfg)
        if kernel_size % 2 == 0:
            raise ValueError(f'{self.name}: kernel_size is {kernel_size}, but must be odd.')
        side, options = kernel_size // 2, dict(norm_cfg=norm_cfg, act_cfg=None)
        self.rows = ConvModule(
            in_channels, in_channels, (kernel_size, 1), padding=(side, 0), **options
        )
        self.columns = ConvModule(
            in_channels, in_channels, (1, kernel_size), padding=(0, side), **options
        )
        self.fusion = nn.Conv2d(in_channels, in_channels, 1)

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        context = self.rows(x.mean(3, keepdim=True)) + self.columns(x.mean(2, keepdim=True))
        return x * self.fusion(context.relu()).sigmoid()
