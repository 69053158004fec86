"""Memory that a training step frees is kept for the next one."""

import ctypes
import os

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST_MMAP_THRESHOLD = 32 << 20
_SETTINGS = ('MALLOC_TRIM_THRESHOLD_', 'MALLOC_MMAP_THRESHOLD_', 'GLIBC_TUNABLES', 'LD_PRELOAD')


@HOOKS.register_module()
class KeepFreedMemoryHook(Hook):
    """Stop glibc from giving freed memory back to the kernel, when training on the CPU.

    The activations of a step are otherwise given back at its end and fetched again, page by page, in
    the next: a tenth of the CPU time of a step of the default. The process keeps what it took at most. Nothing
    happens on a GPU, without glibc, or where the environment says how to allocate.
    """

    def before_run(self, runner: Runner) -> None:
        """Tell the allocator once."""
        if not torch.cuda.is_available() and not any(name in os.environ for name in _SETTINGS):
            keep_freed_memory()


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees.

    Returns:
        Whether the C library can be told so.
    """
    set_option = getattr(ctypes.CDLL(None), 'mallopt', None)
    if set_option is None:
        return False
    mapped = set_option(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    return bool(mapped and set_option(_TRIM_THRESHOLD, 2**31 - 1))
