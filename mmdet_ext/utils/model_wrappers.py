"""Models inside the wrappers of distributed training."""

from mmengine.model import is_model_wrapper
from torch import nn


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, wrapped or not."""
    return model.module if is_model_wrapper(model) else model
