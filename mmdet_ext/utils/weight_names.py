"""Renaming weights, and finding the prefixes under which they fit a model."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mmdet_ext.utils.errors import did_you_mean
from mmdet_ext.utils.state_dicts import StateDict

_DEEPEST = 3


class Prefixes(NamedTuple):
    """What names start with in a file and in a model, before that which both have in common.

    Attributes:
        strip: Prefix in the file, with its dot.
        add: Prefix in the model, with its dot.
    """

    strip: str
    add: str

    def __str__(self) -> str:
        taken = f'`{self.strip}` taken off' if self.strip else ''
        given = f'`{self.add}` put before them' if self.add else ''
        return ' and '.join(filter(None, (taken, given)))


def find_prefixes(saved: StateDict, wanted: StateDict) -> tuple[Prefixes, int, int]:
    """Find the prefixes with which most weights fit a model.

    Args:
        saved: Weights of a file.
        wanted: Weights of the model.

    Returns:
        The prefixes, such as ``('', 'backbone.')`` for a backbone's weights and a detector; none if
        names as they are fit as well. How many weights fit with them, and how many without.
    """
    by_rest = defaultdict(list)
    for name, value in wanted.items():
        for prefix, rest in _divisions(name):
            by_rest[rest].append((prefix, value.shape))
    votes = Counter(
        Prefixes(strip, add)
        for name, value in saved.items()
        for strip, rest in _divisions(name)
        for add, shape in by_rest.get(rest, ())
        if shape == value.shape
    )
    none = Prefixes('', '')
    best = max(votes, key=lambda pair: (votes[pair], -len(pair.strip + pair.add)), default=none)
    best = best if votes[best] > votes[none] else none
    return best, votes[best], votes[none]


def with_prefixes(weights: StateDict, prefixes: Prefixes) -> StateDict:
    """Change prefixes.

    Args:
        weights: Weights by name.
        prefixes: What is taken off and what is put before.

    Returns:
        The weights whose names start with what is taken off, by their new names.

    Raises:
        ValueError: No name starts so.
    """
    strip, add = prefixes
    chosen = {
        add + name[len(strip) :]: value for name, value in weights.items() if name.startswith(strip)
    }
    if not chosen:
        parts = list(dict.fromkeys(name.partition('.')[0] + '.' for name in weights))
        raise ValueError(
            f'`strip` is {strip!r}, but no name in the checkpoint starts so{did_you_mean(strip, parts)}, '
            f'the first one is `{next(iter(weights), "")}`: correct the prefix.'
        )
    return chosen


def renamed(weights: StateDict, rules: Sequence[tuple[str, str]]) -> StateDict:
    """Rename by regular expressions, one after the other.

    Args:
        weights: Weights by name.
        rules: Expressions and what they are replaced by, as for :func:`re.sub`.

    Returns:
        The weights by their new names.

    Raises:
        ValueError: An expression is invalid or matches no name, or two weights get the same name.
    """
    for pattern, replacement in rules:
        names = _substituted(list(weights), pattern, replacement)
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            both = [old for old, new in zip(weights, names, strict=True) if new == twice[0]]
            raise ValueError(
                f'`rename` with {pattern!r} gives `{both[0]}` and `{both[1]}` the same name '
                f'`{twice[0]}`: make the expression tell them apart.'
            )
        weights = dict(zip(names, weights.values(), strict=True))
    return weights


def _substituted(names: list[str], pattern: str, replacement: str) -> list[str]:
    try:
        new = [re.sub(pattern, replacement, name) for name in names]
        matches = any(re.search(pattern, name) for name in names)
    except (re.error, IndexError) as error:
        raise ValueError(
            f'`rename` has {pattern!r} -> {replacement!r}, which is no valid substitution ({error}): '
            'correct it.'
        ) from error
    if not matches:
        raise ValueError(
            f'`rename` has {pattern!r}, which matches none of the {len(names)} names in the '
            f'checkpoint, such as `{names[0] if names else ""}`: correct the expression.'
        )
    return new


def _divisions(name: str) -> Iterator[tuple[str, str]]:
    """Prefixes with the rest; none with a number, as one layer is not another."""
    parts = name.split('.')
    for depth in range(min(_DEEPEST + 1, len(parts))):
        prefix = ''.join(f'{part}.' for part in parts[:depth])
        if any(sign.isdigit() for sign in prefix):
            return
        yield prefix, '.'.join(parts[depth:])
