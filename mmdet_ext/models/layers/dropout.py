"""Dropout of whole channels, and by random factors."""

import math

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class Dropout2d(nn.Dropout2d):
    """torch's dropout of whole channels, with the argument names of ``Dropout``.

    Tompson, Goroshin, Jain, LeCun and Bregler: Efficient Object Localization Using Convolutional
    Networks, CVPR 2015, arXiv:1411.4280.

    Args:
        drop_prob: Probability of a channel to be dropped, in [0, 1).
        inplace: Overwrite the input.
        in_channels: Unused; mmdet passes it to plugins.

    Raises:
        ValueError: ``drop_prob`` is out of range.
    """

    def __init__(
        self, drop_prob: float = 0.5, inplace: bool = False, in_channels: int | None = None
    ) -> None:
        super().__init__(_checked(drop_prob, 'Dropout2d'), inplace)


@MODELS.register_module()
class GaussianDropout(nn.Module):
    """Multiplies activations by normal noise of mean 1 and the variance of dropout, p / (1 - p).

    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov: Dropout: A Simple Way to Prevent
    Neural Networks from Overfitting, JMLR 2014.

    Args:
        drop_prob: The rate p of the dropout that it stands for, in [0, 1).
        in_channels: Unused; mmdet passes it to plugins.

    Raises:
        ValueError: ``drop_prob`` is out of range.
    """

    def __init__(self, drop_prob: float = 0.5, in_channels: int | None = None) -> None:
        super().__init__()
        self.drop_prob = _checked(drop_prob, 'GaussianDropout')

    def forward(self, x: Tensor) -> Tensor:
        """Add noise in training.

        Args:
            x: Any shape.

        Returns:
            The same shape and type.
        """
        if not self.training:
            return x
        deviation = math.sqrt(self.drop_prob / (1 - self.drop_prob))
        return x * (1 + deviation * torch.randn_like(x))

    def extra_repr(self) -> str:
        """Arguments, for ``print(model)``."""
        return f'drop_prob={self.drop_prob}'


@MODELS.register_module()
class UniformDropout(nn.Module):
    """Multiplies activations by 1 + r, r uniform in [-b, b]: "Uout".

    Its variance, b squared / 3, is small enough for batch normalisation to follow, whose running
    statistics dropout proper throws off.

    Li, Chen, Hu and Yang: Understanding the Disharmony between Dropout and Batch Normalization by
    Variance Shift, CVPR 2019, arXiv:1801.05134.

    Args:
        bound: The bound b, in [0, 1].
        in_channels: Unused; mmdet passes it to plugins.

    Raises:
        ValueError: ``bound`` is out of range.
    """

    def __init__(self, bound: float = 0.1, in_channels: int | None = None) -> None:
        super().__init__()
        if not 0 <= bound <= 1:
            raise ValueError(f'UniformDropout got bound={bound}: give a number from 0 to 1.')
        self.bound = bound

    def forward(self, x: Tensor) -> Tensor:
        """Add noise in training.

        Args:
            x: Any shape.

        Returns:
            The same shape and type.
        """
        if not self.training:
            return x
        return x * (1 + self.bound * (2 * torch.rand_like(x) - 1))

    def extra_repr(self) -> str:
        """Arguments, for ``print(model)``."""
        return f'bound={self.bound}'


def _checked(drop_prob: float, name: str) -> float:
    if not 0 <= drop_prob < 1:
        raise ValueError(f'{name} got drop_prob={drop_prob}: give a probability from 0 to below 1.')
    return drop_prob
