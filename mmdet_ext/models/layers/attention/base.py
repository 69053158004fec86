"""What the attention layers have in common."""

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn


class AttentionLayer(BaseModule):
    """Base of layers that reweight a feature map ``(B, C, H, W)`` and keep its shape.

    A subclass takes ``in_channels`` and writes :meth:`attend`; registered in ``MODELS`` it works as a
    ``plugins`` entry of mmdet's ResNets, in the neck ``FeatureAttention`` and alone.

    Args:
        in_channels: Channels C of the maps.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: ``in_channels`` is no positive number.
    """

    def __init__(self, in_channels: int, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if not isinstance(in_channels, int) or in_channels < 1:
            raise ValueError(
                f'{self.name}: in_channels is {in_channels!r}, but must be the number of channels of '
                'its input.'
            )
        self.in_channels = in_channels

    @property
    def name(self) -> str:
        """Name of the layer in configs."""
        return type(self).__name__

    def forward(self, x: Tensor) -> Tensor:
        """Reweight maps.

        Args:
            x: Feature maps ``(B, C, H, W)``.

        Returns:
            Feature maps ``(B, C, H, W)``.

        Raises:
            ValueError: The maps do not have C channels, or otherwise do not fit.
        """
        if not torch.jit.is_tracing():  # a trace, as for ONNX, would warn of every comparison
            self.check(x)
        return self.attend(x)

    def check(self, x: Tensor) -> None:
        """Raise a ValueError when maps do not fit; see :meth:`forward`."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(
                f'{self.name} was built for maps (B, {self.in_channels}, H, W), but got '
                f'{tuple(x.shape)}: set its in_channels to the channels of its input.'
            )

    def attend(self, x: Tensor) -> Tensor:
        """Reweight maps that fit; see :meth:`forward`."""
        raise NotImplementedError

    def reduce(self, reduction: int, size: int | None = None) -> int:
        """Divide the channels, or another size, by a reduction that leaves at least one.

        Args:
            reduction: Divisor.
            size: What is divided. Defaults to ``in_channels``.

        Returns:
            The quotient, rounded down.

        Raises:
            ValueError: Nothing would be left.
        """
        size = self.in_channels if size is None else size
        if not 1 <= reduction <= size:
            raise ValueError(
                f'{self.name}: reduction is {reduction}, but must be between 1 and {size}, which is '
                'what it divides.'
            )
        return size // reduction


def bottleneck(channels: int, hidden: int, bias: bool = False) -> nn.Sequential:
    """Two 1 x 1 convolutions with a ReLU between: the channel MLP of many attention layers.

    Args:
        channels: Channels in and out.
        hidden: Channels between.
        bias: Whether the convolutions have one.

    Returns:
        The module.
    """
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 1, bias=bias),
        nn.ReLU(inplace=True),
        nn.Conv2d(hidden, channels, 1, bias=bias),
    )


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision as float32, anything else as it is: for sums of squares, which overflow."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
