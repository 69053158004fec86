"""What a training step takes of the memory, and how much there is."""

import os
import resource
import sys
from pathlib import Path

import torch

_GIB = 2**30
_STATUS, _RESET = Path('/proc/self/status'), Path('/proc/self/clear_refs')
_MEMINFO, _CGROUP = Path('/proc/meminfo'), Path('/sys/fs/cgroup')


def memory_limit(share: float = 0.8) -> tuple[float, str]:
    """How much memory this process may take.

    Args:
        share: Of what is free, or is taken by this process already.

    Returns:
        GiB, and in words what that is; all of a GPU's where it is one that is trained on, since its
        allocator says when it is full.
    """
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        return (free + torch.cuda.memory_reserved()) / _GIB, 'free on the GPU'
    limit = share * (_available() + _now('VmRSS')) / _GIB
    return limit, f'{share:.0%} of what is free on this machine'


def reset_peak() -> None:
    """Start to look for the most memory from now on."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    elif _RESET.exists():
        _RESET.write_text('5')  # of Linux: VmHWM starts again at VmRSS


def peak() -> float:
    """Most memory since :func:`reset_peak`, in GiB; of the whole process where it is the CPU's."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return torch.cuda.max_memory_reserved() / _GIB
    return _now('VmHWM') / _GIB


def _now(name: str) -> float:
    """Bytes that the kernel counts for this process; where there is no such count, the most ever."""
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith(name):
                return float(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == 'darwin' else 1024)


def _available() -> float:
    """Bytes that are free on the machine, or in the container if that has less."""
    if not _MEMINFO.exists():
        return float(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE'))
    lines = _MEMINFO.read_text().splitlines()
    free = next(float(line.split()[1]) * 1024 for line in lines if line.startswith('MemAvailable'))
    most = _CGROUP / 'memory.max'
    if most.exists() and (text := most.read_text().strip()) != 'max':
        used = float((_CGROUP / 'memory.current').read_text())
        free = min(free, max(float(text) - used, 0.0))
    return free
