"""Global second-order pooling (GSoP)."""

from mmcv.cnn import ConvModule, build_norm_layer
from mmdet.registry import MODELS
from torch import Tensor, nn

from .base import AttentionLayer


@MODELS.register_module()
class GlobalSecondOrderPooling(AttentionLayer):
    """Global second-order pooling (GSoP), its channel branch.

    Gao, Xie, Wang and Li: Global Second-order Pooling Convolutional Networks, CVPR 2019,
    arXiv:1811.12006.

    ``y_c = x_c * sigmoid(W2 r(BN(S)))_c``: S is the covariance of the reduced channels
    ``relu(BN(W1 x))`` over the positions, r a convolution of each of its rows with four filters.

    Args:
        in_channels: Channels of the maps.
        covariance_channels: Reduced channels c; S is ``(c, c)``. Defaults to the paper's 128, or to
            half of ``in_channels`` where that is fewer.
        norm_cfg: Normalisation.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: More reduced channels than there are.
    """

    def __init__(
        self,
        in_channels: int,
        covariance_channels: int | None = None,
        norm_cfg: dict = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(in_channels, init_cfg)
        reduced = covariance_channels or min(128, max(in_channels // 2, 1))
        if reduced > in_channels:
            raise ValueError(
                f'{self.name}: covariance_channels is {reduced}, but must not exceed the '
                f'{in_channels} channels that it reduces.'
            )
        self.reduction = ConvModule(in_channels, reduced, 1, norm_cfg=norm_cfg)
        self.norm = build_norm_layer(norm_cfg, reduced)[1]
        self.row_conv = nn.Conv2d(reduced, 4 * reduced, (reduced, 1), groups=reduced)
        self.excitation = nn.Conv2d(4 * reduced, in_channels, 1)

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        reduced = self.reduction(x).flatten(2)
        centred = (reduced - reduced.mean(2, keepdim=True)) * reduced.shape[2] ** -0.5
        covariance = centred @ centred.transpose(1, 2)
        rows = self.row_conv(self.norm(covariance.unsqueeze(3)))
        return x * self.excitation(rows).sigmoid()
