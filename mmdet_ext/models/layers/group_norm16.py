"""Group normalisation with groups of a fixed width."""

from mmdet.registry import MODELS
from torch import nn

CHANNELS_PER_GROUP = 16


@MODELS.register_module()
class GroupNorm16(nn.GroupNorm):
    """Group normalisation with 16 channels a group, whatever the number of channels.

    Stock ``GN`` takes a number of groups, which cannot suit layers of 64 and of 2048 channels at
    once. Write ``norm_cfg=dict(type='GroupNorm16')`` wherever a config takes a ``norm_cfg``.

    Wu and He: Group Normalization, ECCV 2018, arXiv:1803.08494.

    Args:
        num_channels: Channels of the input, a multiple of 16.
        eps: Added to the variance.
        affine: Learn a scale and a shift per channel.

    Raises:
        ValueError: 16 does not divide the channels.
    """

    _abbr_ = 'gn'

    def __init__(self, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        if num_channels < 1 or num_channels % CHANNELS_PER_GROUP:
            raise ValueError(
                f'GroupNorm16 got {num_channels} channels, but its groups have 16 each: make the '
                "channels a multiple of 16, or use dict(type='GN', num_groups=...)."
            )
        super().__init__(num_channels // CHANNELS_PER_GROUP, num_channels, eps, affine)
