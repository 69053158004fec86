"""Flooding of the total loss: training does not push it below a level."""

import torch
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.dist import all_reduce
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import Tensor

from .bfloat16_optim_wrapper import BFloat16OptimWrapper


class FloodingMixin:
    """Trains on ``|L - b| + b`` instead of the total loss L; goes before an optimizer wrapper.

    Below the level b gradients change their sign, so that the loss floats about it (Ishida et al., Do
    We Need Zero Training Loss After Achieving Zero Training Error?, 2020). With ``per='batch'`` L is
    the mean loss of the effective batch: of all micro-batches of a gradient accumulation, on all
    processes. This is exact: the gradient of ``|L - b|`` is that of L times the sign of L - b, which
    is known, and applied, once the gradient has been accumulated.

    With ``per='micro_batch'`` each forward pass of each process is flooded by itself, after iFlood (Xie
    et al., iFlood: A Stable and Effective Regularizer, 2022). There each instance is; detectors
    give one loss per batch, so that this is iFlood at a batch size of 1 and else lies between the two.

    mmengine logs the loss as it was before, and as ``flooded`` the share of losses below the level.

    Args:
        flood_level: The level b, in units of the total loss.
        per: ``batch`` or ``micro_batch``; without accumulation, on one process, both are the same.
        kwargs: As for the optimizer wrapper.

    Raises:
        ValueError: The level is not positive, or ``per`` is unknown.
    """

    def __init__(self, flood_level: float, per: str = 'batch', **kwargs) -> None:
        super().__init__(**kwargs)
        if not flood_level > 0:
            raise ValueError(f'flood_level is {flood_level}, but must be positive.')
        if per not in ('batch', 'micro_batch'):
            raise ValueError(f"per is {per!r}, but must be 'batch' or 'micro_batch'.")
        self.flood_level, self.per = flood_level, per
        self._batch_loss = 0.0

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Divide a loss for gradient accumulation; mmengine scales it for float16 later.

        Args:
            loss: Total loss of a micro-batch.

        Returns:
            The loss to propagate back.
        """
        if self.per == 'micro_batch':
            self._log(loss.detach() < self.flood_level)
            return super().scale_loss((loss - self.flood_level).abs() + self.flood_level)
        scaled = super().scale_loss(loss)
        self._batch_loss += scaled.detach().float()
        return scaled

    def step(self, **kwargs) -> None:
        """Give the accumulated gradient its sign, then clip it and update the parameters.

        Args:
            kwargs: As for the optimizer's ``step``.
        """
        if self.per == 'batch':
            excess = torch.as_tensor(self._batch_loss) - self.flood_level
            all_reduce(excess, 'mean')
            self._log(excess < 0)
            self._multiply_gradients(float(excess.sign()))
        super().step(**kwargs)

    def zero_grad(self, **kwargs) -> None:
        """Begin a new batch, after a step or one that was skipped.

        Args:
            kwargs: As for the optimizer's ``zero_grad``.
        """
        self._batch_loss = 0.0
        super().zero_grad(**kwargs)

    def _multiply_gradients(self, sign: float) -> None:
        if sign == 1:
            return
        for group in self.optimizer.param_groups:
            for parameter in group['params']:
                if parameter.grad is not None:
                    parameter.grad.mul_(sign)

    def _log(self, flooded: Tensor) -> None:
        self.message_hub.update_scalar('train/flooded', float(flooded))


@OPTIM_WRAPPERS.register_module()
class FloodingOptimWrapper(FloodingMixin, OptimWrapper):
    """mmengine's ``OptimWrapper`` with flooding; see :class:`FloodingMixin`."""


@OPTIM_WRAPPERS.register_module()
class FloodingAmpOptimWrapper(FloodingMixin, AmpOptimWrapper):
    """mmengine's ``AmpOptimWrapper`` with flooding; see :class:`FloodingMixin`."""


@OPTIM_WRAPPERS.register_module()
class FloodingBFloat16OptimWrapper(FloodingMixin, BFloat16OptimWrapper):
    """``BFloat16OptimWrapper`` with flooding; see :class:`FloodingMixin`."""
