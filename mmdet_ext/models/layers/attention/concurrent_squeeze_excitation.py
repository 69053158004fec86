"""Concurrent spatial and channel squeeze-and-excitation (scSE)."""

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from .base import AttentionLayer, bottleneck

_FUSIONS = {'add': torch.add, 'max': torch.maximum}


@MODELS.register_module()
class ConcurrentSqueezeExcitation(AttentionLayer):
    """Concurrent spatial and channel squeeze-and-excitation (scSE).

    Roy, Navab and Wachinger: Concurrent Spatial and Channel Squeeze & Excitation in Fully
    Convolutional Networks, MICCAI 2018, arXiv:1803.02579; fusion by maximum: their Recalibrating Fully
    Convolutional Networks with Spatial and Channel 'Squeeze & Excitation' Blocks, TMI 2019,
    arXiv:1808.08127.

    ``y = x * sigmoid(W2 relu(W1 mean_hw(x))) + x * sigmoid(w . x)``, or the maximum of both.

    Args:
        in_channels: Channels of the maps.
        reduction: The MLP has ``in_channels // reduction`` hidden units.
        fusion: ``add`` or ``max``.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: Another fusion.
    """

    def __init__(
        self,
        in_channels: int,
        reduction: int = 2,
        fusion: str = 'add',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(in_channels, init_cfg)
        if fusion not in _FUSIONS:
            raise ValueError(f"{self.name}: fusion is {fusion!r}, but must be 'add' or 'max'.")
        self.fuse = _FUSIONS[fusion]
        self.channel = bottleneck(in_channels, self.reduce(reduction), bias=True)
        self.spatial = nn.Conv2d(in_channels, 1, 1, bias=False)

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        by_channel = x * self.channel(x.mean((2, 3), keepdim=True)).sigmoid()
        return self.fuse(by_channel, x * self.spatial(x).sigmoid())
