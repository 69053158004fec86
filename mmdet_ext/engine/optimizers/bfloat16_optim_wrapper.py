"""Mixed precision where mmengine's ``AmpOptimWrapper`` refuses to run: on the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Computes forward pass and losses in bfloat16 where torch's autocast allows it, on any device.

    bfloat16 has float32's range of exponents, so the loss is not scaled. Parameters, gradients and
    the optimizer's state stay in float32. Takes the arguments of :class:`mmengine.optim.OptimWrapper`.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass under autocast, and with gradient accumulation as the base class does."""
        with (
            super().optim_context(model),
            torch.autocast(get_device(), dtype=torch.bfloat16),
        ):
            yield
