"""Stochastic pooling."""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class StochasticPool2d(nn.Module):
    """Pools by drawing one activation of each window, with a probability proportional to it.

    In evaluation it gives the expectation of that draw. Activations are meant to follow a ReLU:
    negative ones are never drawn, and a window without a positive one gives 0.

    Zeiler and Fergus: Stochastic Pooling for Regularization of Deep Convolutional Neural Networks,
    ICLR 2013, arXiv:1301.3557.

    Args:
        kernel_size: Side of the window.
        stride: From one window to the next; ``kernel_size`` if not given.
        padding: Zeros around the map, never drawn.
        in_channels: Unused; mmdet passes it to plugins.

    Raises:
        ValueError: An argument is out of range, or a map is smaller than the window.
    """

    def __init__(
        self,
        kernel_size: int = 2,
        stride: int | None = None,
        padding: int = 0,
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        if kernel_size < 1 or self.stride < 1 or not 0 <= padding <= kernel_size // 2:
            raise ValueError(
                f'StochasticPool2d got kernel_size={kernel_size}, stride={self.stride} and '
                f'padding={padding}: the first two have to be 1 or more, and padding at most half the '
                'kernel.'
            )

    def forward(self, x: Tensor) -> Tensor:
        """Pool.

        Args:
            x: Shape ``(B, C, H, W)``.

        Returns:
            Shape ``(B, C, H', W')``, as of max pooling.
        """
        if min(x.shape[-2:]) + 2 * self.padding < self.kernel_size:
            raise ValueError(
                f'StochasticPool2d has windows of {self.kernel_size} cells, but the map has only '
                f'{x.shape[-2]} x {x.shape[-1]}: pool less often, or use larger images.'
            )
        x = x.clamp(min=0)
        return self._draw(x) if self.training else self._expectation(x)

    def _draw(self, x: Tensor) -> Tensor:
        size, step = self.kernel_size, self.stride
        x = F.pad(x, [self.padding] * 4)
        windows = x.unfold(2, size, step).unfold(3, size, step).flatten(-2)
        sums = _exact(windows.detach()).cumsum(-1)
        threshold = torch.rand_like(sums[..., -1:]) * sums[..., -1:]
        drawn = (sums <= threshold).sum(-1, keepdim=True).clamp(max=size * size - 1)
        return windows.gather(-1, drawn).squeeze(-1)

    def _expectation(self, x: Tensor) -> Tensor:
        """Sum of p a, with p = a / (sum of a)."""
        exact = _exact(x)
        windows = (self.kernel_size, self.stride, self.padding)
        mean, mean_square = F.avg_pool2d(exact, *windows), F.avg_pool2d(exact.square(), *windows)
        return (mean_square / mean.clamp(min=torch.finfo(exact.dtype).tiny)).to(x.dtype)

    def extra_repr(self) -> str:
        """Arguments, for ``print(model)``."""
        return f'kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}'


def _exact(x: Tensor) -> Tensor:
    """Half precision has neither the range nor the digits for squares and sums."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
