"""What an iteration began with, to run it again and to undo what it left behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .random_state import capture_random_state, restore_random_state


@contextmanager
def same_random_numbers(state: dict[str, Any]) -> Iterator[None]:
    """Draw random numbers from a state of ``capture_random_state``; afterwards all is as before."""
    now = capture_random_state()
    restore_random_state(state)
    try:
        yield
    finally:
        restore_random_state(now)


class BufferCopy:
    """Floating-point buffers of a model, such as the running means of batch norms.

    Args:
        model: The model; the copies stay on its device.
    """

    def __init__(self, model: nn.Module) -> None:
        self._buffers: list[Tensor] = [b for b in model.buffers() if b.is_floating_point()]
        self._copies = [buffer.detach().clone() for buffer in self._buffers]

    @torch.no_grad()
    def update(self) -> None:
        """Copy the buffers as they are now."""
        if self._buffers:
            torch._foreach_copy_(self._copies, self._buffers)

    @torch.no_grad()
    def restore(self) -> None:
        """Put the copies back into the model, between forward and backward pass, too."""
        if self._buffers:  # .data: autograd keeps running means, and would miss its own
            torch._foreach_copy_([buffer.data for buffer in self._buffers], self._copies)


def settings_of(param_groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Everything of the groups of an optimizer but their parameters: learning rate, momentum, ..."""
    return [{key: v for key, v in group.items() if key != 'params'} for group in param_groups]
