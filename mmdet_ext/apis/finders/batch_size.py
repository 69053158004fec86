"""The batch size that memory has room for, and the one from which on training gets no faster."""

import copy
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper

from mmdet_ext.utils.out_of_memory import is_out_of_memory

from .memory import memory_limit, peak, reset_peak
from .subject import build_loader, build_subject

_ENOUGH = 0.95  # of the greatest throughput


@dataclass
class BatchSizes:
    """Training steps with batches of several sizes.

    Attributes:
        limit: GiB that a step may take.
        limit_reason: What that limit is, in words.
        most: Greatest size that was to be tried.
        seconds: Of a step, by size.
        memory: Most GiB during a step, by size.
        too_large: Sizes for which there was no memory.
        largest: Greatest size that fits, 0 if none does.
        is_estimate: It was not tried, but follows from the memory of smaller ones.
        rate: The config's learning rate.
        rate_is_for: Images per step that this rate is for.
        accumulated: Batches per step.
    """

    limit: float
    limit_reason: str
    most: int
    rate: float
    rate_is_for: int
    accumulated: int = 1
    seconds: dict[int, float] = field(default_factory=dict)
    memory: dict[int, float] = field(default_factory=dict)
    too_large: list[int] = field(default_factory=list)
    largest: int = 0
    is_estimate: bool = False

    @property
    def throughput(self) -> dict[int, float]:
        """Images per second by size."""
        return {size: size / seconds for size, seconds in sorted(self.seconds.items())}

    @property
    def fast_enough(self) -> int:
        """Smallest size that was tried with nearly the greatest throughput."""
        best = max(self.throughput.values())
        return next(s for s, images in self.throughput.items() if images >= _ENOUGH * best)

    def scaled_rate(self, size: int) -> float:
        """The learning rate for a size, scaled in proportion to the images per step."""
        return self.rate * size * self.accumulated / self.rate_is_for

    def predicted_memory(self, size: int) -> float:
        """GiB of a step, by the line through the two greatest sizes that were measured."""
        sizes = sorted(self.memory)[-2:]
        if len(sizes) < 2:
            return self.memory[sizes[0]] if sizes else 0.0
        small, large = sizes
        per_image = (self.memory[large] - self.memory[small]) / (large - small)
        return self.memory[large] + max(per_image, 0.0) * (size - large)


def find_batch_size(
    cfg: Config, most: int = 64, limit: float | None = None, repeats: int = 2
) -> BatchSizes:
    """Try training steps with ever larger batches of the config's own data.

    The size is doubled until memory runs out, then bisected to an eighth. On a GPU each size is
    tried; on the CPU, where Linux would kill the process, none is that by the memory of the smaller
    ones would take more than the limit.

    Args:
        cfg: A config; stays as it is.
        most: Greatest size to try.
        limit: GiB that the process may take; by default what is free on the GPU, or 80 % of what is
            free on the machine.
        repeats: Timed steps of each size, after one that is not; the median counts.

    Returns:
        What was measured.

    Raises:
        ValueError: Not even one image fits.
    """
    model, wrapper = build_subject(cfg)
    samples = _Samples(cfg)
    found = _nothing_yet(cfg, wrapper, most, limit)
    on_cpu = not torch.cuda.is_available()

    def fits(size: int) -> bool:
        if (on_cpu or limit) and found.predicted_memory(size) > found.limit:
            return False
        if on_cpu and found.too_large:  # the bisection: estimates are enough
            return True
        fitted = _try(found, size, lambda: model.train_step(samples.batch(size), wrapper), repeats)
        wrapper.zero_grad()
        if not on_cpu:
            torch.cuda.empty_cache()
        return fitted

    def noted(size: int) -> bool:
        fitting = fits(size)
        if not fitting:
            found.too_large.append(size)
        return fitting

    found.largest = largest_fitting(noted, most)
    found.is_estimate = found.largest not in found.seconds
    if not found.largest:
        raise ValueError(
            f'a training step with one image does not fit into {found.limit:.1f} GiB '
            f'({found.limit_reason}): make the images or the model smaller.'
        )
    return found


def largest_fitting(fits: Callable[[int], bool], most: int) -> int:
    """Find the largest batch size that fits, to an eighth, by doubling and bisection.

    Args:
        fits: Whether a size does.
        most: Greatest size to ask for.

    Returns:
        The size; 0 if not even 1 does.
    """
    if not fits(1):
        return 0
    low, high = 1, most + 1  # low fits; high does not, or is too many
    while low * 2 < high:
        if not fits(low * 2):
            high = low * 2
            break
        low *= 2
    if high == most + 1 and low < most:
        if fits(most):
            return most
        high = most
    while high - low > max(low // 8, 1):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


class _Samples:
    """Batches of any size from the training data, whose samples are loaded once."""

    def __init__(self, cfg: Config) -> None:
        loader = build_loader(cfg)
        self._dataset, self._collate = loader.dataset, loader.collate_fn
        self._loaded: list[Any] = []

    def batch(self, size: int) -> Any:
        count = min(size, len(self._dataset))
        self._loaded += [self._dataset[i] for i in range(len(self._loaded), count)]
        samples = itertools.islice(itertools.cycle(self._loaded[:count]), size)
        return self._collate([copy.deepcopy(sample) for sample in samples])


def _nothing_yet(cfg: Config, wrapper: OptimWrapper, most: int, limit: float | None) -> BatchSizes:
    available, reason = memory_limit()
    accumulated = wrapper._accumulative_counts
    own = cfg.train_dataloader.get('batch_size', 1) * accumulated
    return BatchSizes(
        limit=limit or available,
        limit_reason='given' if limit else reason,
        most=most,
        rate=cfg.optim_wrapper.optimizer.lr,
        rate_is_for=cfg.get('auto_scale_lr', {}).get('base_batch_size', own),
        accumulated=accumulated,
    )


def _try(found: BatchSizes, size: int, step: Callable[[], Any], repeats: int) -> bool:
    """Measure steps; whether there was memory for them."""
    reset_peak()
    durations = []
    try:
        for _ in range(repeats + 1):
            start = time.perf_counter()
            step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            durations.append(time.perf_counter() - start)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    memory = peak()
    if memory > found.limit:
        return False
    found.seconds[size], found.memory[size] = float(np.median(durations[1:])), memory
    return True
