"""What is frozen when: names of parameters by epoch or iteration, without a model or a runner."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from mmdet_ext.utils.errors import did_you_mean
from mmdet_ext.utils.model_layers import Layer
from mmdet_ext.utils.parameter_names import as_patterns, choose_names

ALL = '*'
_UNITS = ('epoch', 'iter')


class FreezeStep(NamedTuple):
    """What is frozen from some time on.

    Attributes:
        begin: Epochs or iterations done.
        frozen: Names of parameters.
    """

    begin: int
    frozen: frozenset[str]


def schedule_unit(schedule: Sequence[dict[str, Any]]) -> str:
    """Check the entries of a schedule.

    Args:
        schedule: Entries with ``epoch`` or ``iter``, and with ``free``, ``freeze`` or both.

    Returns:
        ``'epoch'`` or ``'iter'``: what all of them count.

    Raises:
        ValueError: An entry has another key, lacks one, counts otherwise or is out of order.
    """
    units = []
    for index, entry in enumerate(schedule):
        where = f'`schedule[{index}]` of FreezeHook'
        unknown = [key for key in entry if key not in (*_UNITS, 'free', 'freeze')]
        if unknown:
            meant = did_you_mean(unknown[0], (*_UNITS, 'free', 'freeze'))
            raise ValueError(
                f'{where} has the key {unknown[0]!r}{meant}: give `epoch` or `iter`, and `free` or '
                '`freeze`.'
            )
        counted = [unit for unit in _UNITS if unit in entry]
        if len(counted) != 1 or not ('free' in entry or 'freeze' in entry):
            raise ValueError(
                f'{where} is {entry}: give `epoch` or `iter`, one of them, and `free` or `freeze`.'
            )
        units += counted
    if len(set(units)) > 1:
        raise ValueError('the `schedule` of FreezeHook counts epochs and iterations: choose one.')
    unit = units[0] if units else 'epoch'
    begins = [entry[unit] for entry in schedule]
    if begins != sorted(begins) or any(begin < 1 for begin in begins):
        raise ValueError(
            f'the `schedule` of FreezeHook has `{unit}` {begins}: list its entries in order, from 1 on '
            '(what is frozen from the start is `freeze`).'
        )
    return unit


def plan_schedule(
    names: Sequence[str], start: frozenset[str], schedule: Sequence[dict[str, Any]], unit: str
) -> list[FreezeStep]:
    """Plan by a list of what is freed, or frozen, when.

    Args:
        names: Of all parameters.
        start: What is frozen at first.
        schedule: See :func:`schedule_unit`.
        unit: What it counts.

    Returns:
        The steps, the first one at 0.

    Raises:
        ValueError: A pattern matches nothing.
    """
    steps = [FreezeStep(0, start)]
    for index, entry in enumerate(schedule):
        frozen = steps[-1].frozen
        for key in ('free', 'freeze'):
            patterns = as_patterns(entry.get(key, ()))
            chosen = choose_names(patterns, names, f'schedule[{index}].{key}')
            frozen = frozen - chosen if key == 'free' else frozen | chosen
        steps.append(FreezeStep(entry[unit], frozen))
    return steps


def plan_gradual(parts: Sequence[Layer], start: frozenset[str], epochs: int) -> list[FreezeStep]:
    """Plan to free one part after the other, the last one first.

    Args:
        parts: Of the model, in order.
        start: What is frozen at first.
        epochs: From one part to the next.

    Returns:
        The steps, the first one at 0.
    """
    steps = [FreezeStep(0, start)]
    for part in reversed(parts):
        frozen = steps[-1].frozen - set(part.parameters)
        if frozen != steps[-1].frozen:
            steps.append(FreezeStep(epochs * len(steps), frozen))
    return steps


def frozen_at(steps: Sequence[FreezeStep], now: int) -> tuple[frozenset[str], float]:
    """Look up a plan.

    Args:
        steps: In order of time.
        now: Epochs or iterations done.

    Returns:
        What is frozen, and when that changes next.
    """
    reached = [step for step in steps if step.begin <= now]
    later = steps[len(reached)].begin if len(reached) < len(steps) else float('inf')
    return reached[-1].frozen, later
