"""Dilated convolutions whose pattern leaves no holes."""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from torch import nn


@MODELS.register_module()
class HybridDilatedBlock(nn.Sequential):
    """Hybrid dilated convolution: a cycle of dilations that together see every cell.

    Dilations with a common factor, such as 2, 2, 2 or 2, 4, 8, see only every other cell
    ("gridding"); such a cycle is refused. The receptive field is 1 + (kernel_size - 1) times the sum
    of the dilations.

    Wang, Chen, Yuan, Liu, Huang, Hou and Cottrell: Understanding Convolution for Semantic
    Segmentation, WACV 2018, arXiv:1702.08502.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output; ``in_channels`` if not given.
        dilations: Of one convolution each.
        kernel_size: Side of the kernels, odd.
        norm_cfg: Normalisation of the convolutions.
        act_cfg: Activation of the convolutions.

    Raises:
        ValueError: The cycle leaves holes, or the kernel has an even size.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int | None = None,
        dilations: Sequence[int] = (1, 2, 5),
        kernel_size: int = 3,
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='ReLU'),
    ) -> None:
        check_dilations(dilations, kernel_size)
        out_channels = in_channels if out_channels is None else out_channels
        super().__init__(
            *(
                ConvModule(
                    out_channels if i else in_channels,
                    out_channels,
                    kernel_size,
                    padding=dilation * (kernel_size // 2),
                    dilation=dilation,
                    norm_cfg=norm_cfg,
                    act_cfg=act_cfg,
                )
                for i, dilation in enumerate(dilations)
            )
        )


def check_dilations(dilations: Sequence[int], kernel_size: int = 3) -> None:
    """Raise unless a cycle of dilated convolutions sees every cell of its receptive field.

    Args:
        dilations: Of the convolutions, in any order: what they see together does not depend on it.
        kernel_size: Side of their kernels.

    Raises:
        ValueError: The cycle leaves holes; says why.
    """
    ordered = sorted(dilations)
    if kernel_size < 3 or kernel_size % 2 == 0:
        raise ValueError(f'kernel_size is {kernel_size}: give an odd number of 3 or more.')
    if not ordered or ordered[0] != 1:
        raise ValueError(
            f'the dilations {tuple(dilations)} have no 1, so that they leave out cells ("gridding"): '
            'start with 1, as in (1, 2, 5).'
        )
    distance = largest_distance(ordered)
    if distance > kernel_size:
        raise ValueError(
            f'the dilations {tuple(dilations)} leave holes of which a kernel of {kernel_size} fills '
            f'only part ("gridding"): M_2 is {distance} and may be {kernel_size} at most; raise them '
            'more slowly, as in (1, 2, 5).'
        )


def largest_distance(dilations: Sequence[int]) -> int:
    """Largest distance between cells that all convolutions but the first see: M_2 of the paper.

    ``M_i = max(M_{i+1} - 2 r_i, M_{i+1} - 2 (M_{i+1} - r_i), r_i)``, from ``M_n = r_n``.

    Args:
        dilations: The dilations r, in rising order.

    Returns:
        M_2 in cells; 1 for a single convolution.
    """
    if len(dilations) < 2:
        return 1
    distance = dilations[-1]
    for dilation in reversed(dilations[1:-1]):
        distance = max(distance - 2 * dilation, 2 * dilation - distance, dilation)
    return distance
