"""DropBlock for maps of any size."""

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn
from torchvision.ops import drop_block2d


@MODELS.register_module()
class ClampedDropBlock(nn.Module):
    """Drops blocks of a feature map, on small maps smaller ones.

    Stock ``DropBlock`` fails on maps smaller than its block and computes in single precision only.
    Here the block is at most the largest odd size that fits into the map. The mask is torchvision's.
    The probability is constant; ``DropBlockScheduleHook`` raises it from 0 during training.

    Usable as a plugin of mmdet's ResNet family:
    ``plugins=[dict(cfg=dict(type='ClampedDropBlock', drop_prob=0.1), position='after_conv3')]``.

    Ghiasi, Lin and Le: DropBlock: A Regularization Method for Convolutional Networks, NeurIPS 2018,
    arXiv:1810.12890.

    Args:
        drop_prob: Expected share of dropped activations, in [0, 1).
        block_size: Side of the blocks in cells, odd.
        in_channels: Unused; mmdet passes it to plugins.

    Raises:
        ValueError: ``drop_prob`` or ``block_size`` is out of range.
    """

    def __init__(
        self, drop_prob: float = 0.1, block_size: int = 7, in_channels: int | None = None
    ) -> None:
        super().__init__()
        if not 0 <= drop_prob < 1:
            raise ValueError(
                f'ClampedDropBlock got drop_prob={drop_prob}: give a share from 0 to below 1.'
            )
        if block_size < 1 or block_size % 2 == 0:
            raise ValueError(
                f'ClampedDropBlock got block_size={block_size}: give an odd number, so that a block '
                'has a centre.'
            )
        self.drop_prob, self.block_size = drop_prob, block_size

    def forward(self, x: Tensor) -> Tensor:
        """Drop blocks in training, and scale up what is left.

        Args:
            x: Shape ``(B, C, H, W)``.

        Returns:
            The same shape and type.
        """
        if not self.training or self.drop_prob == 0:
            return x
        block_size = min(self.block_size, *x.shape[-2:])
        block_size -= 1 - block_size % 2
        # single precision, since torchvision counts the cells left in the type of its input
        mask = drop_block2d(torch.ones_like(x, dtype=torch.float32), self.drop_prob, block_size)
        return x * mask.to(x.dtype)

    def extra_repr(self) -> str:
        """Arguments, for ``print(model)``."""
        return f'drop_prob={self.drop_prob}, block_size={self.block_size}'
