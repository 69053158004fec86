"""Mixed precision where mmengine's ``AmpOptimWrapper`` refuses to run: on the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Computes forward pass and losses in bfloat16 where torch's autocast allows it, on any device.

    bfloat16 has float32's range of exponents, so the loss is not scaled. Parameters, gradients and
    the optimizer's state stay in float32.

    Args:
        native_only: Stay in float32 on a device that would only emulate bfloat16, which is slower.
        kwargs: As for :class:`mmengine.optim.OptimWrapper`.
    """

    def __init__(self, native_only: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.enabled = not native_only or has_native_bfloat16(get_device())

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass under autocast, and with gradient accumulation as the base class does."""
        with (
            super().optim_context(model),
            torch.autocast(get_device(), dtype=torch.bfloat16, enabled=self.enabled),
        ):
            yield


def has_native_bfloat16(device: str, cpu_info: Path = Path('/proc/cpuinfo')) -> bool:
    """Tell whether a device computes in bfloat16 rather than emulating it.

    Args:
        device: ``cpu`` or ``cuda``.
        cpu_info: The kernel's description of the CPU; where there is none, the answer is no.

    Returns:
        True from NVIDIA's Ampere on, and for CPUs with AVX-512 BF16, AMX or Arm's BF16.
    """
    if device == 'cuda':
        return torch.cuda.get_device_capability() >= (8, 0)
    flags = set(cpu_info.read_text().split()) if cpu_info.is_file() else set()
    return device == 'cpu' and bool(flags & {'avx512_bf16', 'amx_bf16', 'bf16'})
