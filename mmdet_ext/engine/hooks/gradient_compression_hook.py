"""Gradients travel between processes in half precision."""

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import distributed
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel

_COMPRESSIONS = {
    'fp16': default_hooks.fp16_compress_hook,
    'bf16': default_hooks.bf16_compress_hook,
}
_DTYPES = {'fp16': torch.float16, 'bf16': torch.bfloat16}


@HOOKS.register_module()
class GradientCompressionHook(Hook):
    """Exchange gradients between processes in 16 bits: half the traffic of float32.

    Each process rounds its gradients, divided by the number of processes, and their sum is taken in 16
    bits; weights and optimizer stay in float32. This is torch's DDP communication hook of the same
    name. It pays where the network is slower than the rounding: between machines as a rule, not within
    one. In a single process it does nothing.

    Args:
        dtype: ``fp16`` rounds finer, and overflows from 65504 on; ``bf16`` has float32's range, which
            suits gradients that are not clipped or of a scaled loss. bf16 over NCCL needs NVIDIA's
            Ampere or later.

    Raises:
        ValueError: If ``dtype`` is neither or the backend cannot add it up, or the model is distributed by other means than DDP.
    """

    def __init__(self, dtype: str = 'fp16') -> None:
        if dtype not in _COMPRESSIONS:
            raise ValueError(
                f'`dtype` of GradientCompressionHook is {dtype!r}: expected one of '
                f'{", ".join(_COMPRESSIONS)}.'
            )
        self.dtype = dtype

    def before_train(self, runner: Runner) -> None:
        """Tell DDP."""
        if not runner.distributed:
            return
        if not isinstance(runner.model, DistributedDataParallel):
            raise ValueError(
                f'GradientCompressionHook needs a model in DistributedDataParallel, found '
                f'{type(runner.model).__name__}: take the hook out of `custom_hooks`.'
            )
        _require_sums(_DTYPES[self.dtype], next(runner.model.parameters()).device)
        runner.model.register_comm_hook(None, _COMPRESSIONS[self.dtype])
        runner.logger.info(f'gradients are exchanged in {self.dtype}')


def _require_sums(dtype: torch.dtype, device: torch.device) -> None:
    try:
        distributed.all_reduce(torch.zeros(1, dtype=dtype, device=device))
    except RuntimeError as error:  # such as bfloat16 over the gloo of torch 2.1
        raise ValueError(
            f'{distributed.get_backend()} of torch {torch.__version__} cannot add up {dtype} ({error}): '
            'take another `dtype` for GradientCompressionHook.'
        ) from error
