"""What a model and one of its forward passes take in memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from mmdet_ext.utils.tensors import tensors_in

ALLOCATED = 'allocated on the GPU, workspaces included'
ALIVE = 'tensors alive at the same time, workspaces of the operators not included'


@dataclass
class Memory:
    """Bytes.

    Attributes:
        parameters: Of the weights.
        buffers: Of what is saved beside them, such as running means.
        inputs: Of the batch.
        peak_activations: Most that a forward pass without gradients needs beside these.
        method: How the peak was measured.
    """

    parameters: int
    buffers: int
    inputs: int
    peak_activations: int
    method: str


@torch.no_grad()
def measure_memory(model: nn.Module, inputs: Tensor, **arguments: Any) -> Memory:
    """Measure the memory of ``model(inputs, **arguments)``.

    Args:
        model: In evaluation mode.
        inputs: A batch of images, on the model's device.
        arguments: Further arguments of the model's ``forward``.

    Returns:
        Bytes; on a CUDA device as its allocator counts them.
    """
    if inputs.is_cuda:
        torch.cuda.synchronize(inputs.device)
        torch.cuda.reset_peak_memory_stats(inputs.device)
        before = torch.cuda.memory_allocated(inputs.device)
        model(inputs, **arguments)
        peak = torch.cuda.max_memory_allocated(inputs.device) - before
    else:
        with _LiveTensors([*model.parameters(), *model.buffers(), inputs]) as live:
            model(inputs, **arguments)
        peak = live.peak
    return Memory(
        _bytes(model.parameters()),
        _bytes(model.buffers()),
        _bytes([inputs]),
        peak,
        ALLOCATED if inputs.is_cuda else ALIVE,
    )


class _LiveTensors(TorchDispatchMode):
    """Follows the storages that operators make, until the last tensor on them is gone."""

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()
        self.peak = 0
        self._known = {tensor.untyped_storage()._cdata for tensor in known}
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **kwargs or {})
        # Arguments, too: an operator compiled outside torch does not show what it makes.
        for tensor in tensors_in(tree_flatten((args, kwargs, result))[0]):
            storage = tensor.untyped_storage()
            if storage._cdata not in self._known:
                self._alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self._alive = {key: item for key, item in self._alive.items() if not item[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self._alive.values()))
        return result


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
