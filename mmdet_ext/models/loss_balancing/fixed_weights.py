"""Constant weights."""

from collections.abc import Mapping

from mmdet.registry import MODELS
from torch import Tensor

from .base import LossBalancer


@MODELS.register_module()
class FixedWeights(LossBalancer):
    """Multiplies losses by constants: a ``loss_weight`` for those that have none in the config.

    Args:
        weights: Factor by name of the loss; the others keep a weight of 1.
    """

    has_state = False

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__(sorted(weights))
        self.weights = dict(weights)

    def weigh(self, values: Tensor, shared: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh the losses of an iteration; see the base class."""
        table = values.new_tensor([self.weights[name] for name in self._names])
        return (table[index] * values).sum(), table[index]
