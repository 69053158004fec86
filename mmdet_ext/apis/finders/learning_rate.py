"""A learning rate from a sweep over all magnitudes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from scipy.ndimage import gaussian_filter1d

from .subject import build_loader, build_subject, endless

_SMOOTHING = 1 / 25  # standard deviation of the filter over the losses, as a share of the sweep


@dataclass
class LearningRateSweep:
    """Losses over learning rates that rise exponentially, one per step of the optimizer.

    Attributes:
        rates: ``(K,)``.
        losses: ``(K,)``, each before the step with its rate.
        limit: Loss at which the sweep ends.
        current: The config's rate.
    """

    rates: np.ndarray
    losses: np.ndarray
    limit: float
    current: float

    @property
    def smoothed(self) -> np.ndarray:
        """Losses without their noise, ``(K,)``."""
        clipped = np.minimum(self.losses, self.limit)
        return gaussian_filter1d(clipped, max(len(clipped) * _SMOOTHING, 1e-6), mode='nearest')

    @property
    def steepest(self) -> float:
        """Rate at which the loss falls fastest, per magnitude."""
        slopes = np.gradient(self.smoothed, np.log(self.rates))
        return float(self.rates[np.argmin(slopes[: self._lowest + 1])])

    @property
    def tenth_of_minimum(self) -> float:
        """A tenth of the rate at which the loss is lowest."""
        return float(self.rates[self._lowest]) / 10

    @property
    def is_falling(self) -> bool:
        """Whether the loss is lowest at the end, so that higher rates are to be tried."""
        return self._lowest >= len(self.rates) - 1

    @property
    def _lowest(self) -> int:
        return int(np.argmin(self.smoothed))


def find_learning_rate(
    cfg: Config, lowest: float = 1e-6, highest: float = 1.0, steps: int = 100, divergence: float = 4
) -> LearningRateSweep:
    """Train a model of its own for some steps with a learning rate that rises exponentially.

    Smith: Cyclical Learning Rates for Training Neural Networks, 2017, arXiv:1506.01186.

    Rates of parameter groups keep their proportions. Accumulated batches are one step. Nothing is
    saved; schedules and hooks of the config do not act.

    Args:
        cfg: A config; stays as it is.
        lowest: First rate.
        highest: Last rate, if the loss does not diverge before.
        steps: Steps of the optimizer from the one to the other.
        divergence: The sweep ends when the loss is so many times the lowest so far.

    Returns:
        The sweep.

    Raises:
        ValueError: An option is out of range, or the loss falls nowhere.
    """
    if not 0 < lowest < highest or steps < 10 or divergence <= 1:
        raise ValueError(
            f'the learning rates from {lowest} to {highest} in {steps} steps up to {divergence} times '
            'the lowest loss are no sweep: give 0 < lowest < highest, at least 10 steps and a '
            'divergence above 1.'
        )
    model, wrapper = build_subject(cfg)
    current = cfg.optim_wrapper.optimizer.lr
    set_rate = _rate_setter(wrapper, current)
    batches = endless(build_loader(cfg))
    counts = wrapper._accumulative_counts

    def loss_at(rate: float) -> float:
        set_rate(rate)
        losses = [model.train_step(next(batches), wrapper)['loss'].detach() for _ in range(counts)]
        return float(sum(losses)) / counts

    return _swept(loss_at, np.geomspace(lowest, highest, steps), divergence, current)


def _rate_setter(wrapper: OptimWrapper, current: float) -> Callable[[float], None]:
    factors = [group['lr'] / current for group in wrapper.optimizer.param_groups]

    def set_rate(rate: float) -> None:
        for group, factor in zip(wrapper.optimizer.param_groups, factors, strict=True):
            group['lr'] = rate * factor

    return set_rate


def _swept(
    loss_at: Callable[[float], float], rates: np.ndarray, divergence: float, current: float
) -> LearningRateSweep:
    losses: list[float] = []
    recent = max(len(rates) // 20, 1)  # over which one bad batch is no divergence
    lowest = np.inf
    for rate in rates:
        loss = loss_at(rate)
        if not np.isfinite(loss):
            break
        losses.append(loss)
        mean = np.mean(losses[-recent:])
        lowest = min(lowest, mean)
        if mean > divergence * lowest:
            break
    if len(losses) < 10:
        raise ValueError(
            f'the loss is not finite or diverges after {len(losses)} steps, at a learning rate of '
            f'{rates[len(losses) - 1]:.2g}: start the sweep lower, or look at the data.'
        )
    sweep = LearningRateSweep(
        rates[: len(losses)], np.array(losses), float(divergence * lowest), current
    )
    if sweep._lowest == 0:
        raise ValueError(
            f'the loss falls at no learning rate from {rates[0]:.2g} to {sweep.rates[-1]:.2g}: start '
            'the sweep lower, or look at the data.'
        )
    return sweep
