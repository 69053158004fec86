"""What a scene is drawn from: ranges, probabilities and weighted choices, and their check."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

Range = tuple[float, float]
"""Lowest and highest value, drawn uniformly."""

Weights = Mapping[str, float]
"""How often each of several kinds is drawn, relative to the others."""


def draw(rng: np.random.Generator, limits: Range) -> float:
    """A number from a range."""
    return float(rng.uniform(*limits))


def choose(rng: np.random.Generator, weights: Weights) -> str:
    """One of several kinds."""
    shares = np.array(list(weights.values()), float)
    return str(rng.choice(list(weights), p=shares / shares.sum()))


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Whether something of this probability happens."""
    return bool(rng.random() < probability)


def check_config(config: Any, name: str = 'scene') -> None:
    """Check the fields of a configuration and of those inside it.

    By the type of its value a field is a :data:`Range` (two numbers), :data:`Weights` (a mapping), a
    probability (a float), or something that the configuration checks itself in ``check``; metadata
    say of a range that it may be ``signed`` and of a mapping that it holds ``probabilities``.

    Args:
        config: A dataclass.
        name: What errors call it.

    Raises:
        ValueError: A range is the wrong way round, a number negative where the default is not, a probability
            outside 0 to 1, or weights that are negative, unknown or all zero.
    """
    for entry in fields(config):
        value, where = getattr(config, entry.name), f'{name}.{entry.name}'
        if is_dataclass(value):
            check_config(value, where)
        elif isinstance(value, Mapping):
            check = _check_shares if entry.metadata.get('probabilities') else _check_weights
            check(value, where)
        elif isinstance(value, tuple):
            _check_range(value, where, signed=entry.metadata.get('signed', False))
        elif isinstance(value, float) and not 0 <= value <= 1:
            raise ValueError(f'{where} is {value}; expected a probability from 0 to 1.')
    if hasattr(config, 'check'):
        config.check(name)


def _check_range(value: tuple, where: str, signed: bool) -> None:
    numbers = len(value) == 2 and all(isinstance(v, int | float) for v in value)
    if not numbers or not np.isfinite(value).all():
        raise ValueError(f'{where} is {value}; expected two numbers, lowest and highest.')
    if value[0] > value[1]:
        raise ValueError(f'{where} is {value}; expected the lowest value first.')
    if value[0] < 0 and not signed:
        raise ValueError(f'{where} is {value}; expected no negative value.')


def _check_weights(value: Mapping, where: str) -> None:
    for kind, weight in value.items():
        if not weight >= 0:
            raise ValueError(f'{where}[{kind!r}] is {weight}; expected 0 or more.')
    if not sum(value.values()) > 0:
        raise ValueError(f'{where} is {dict(value)}; expected at least one weight above 0.')


def _check_shares(value: Mapping, where: str) -> None:
    for kind, share in value.items():
        if not 0 <= share <= 1:
            raise ValueError(f'{where}[{kind!r}] is {share}; expected a probability from 0 to 1.')
