"""Choosing parameters by their dotted names: by prefix, glob or regular expression."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import accumulate

from .errors import did_you_mean

REGEX = 're:'
_MOST_PARTS = 6


def as_patterns(patterns: str | Sequence[str]) -> tuple[str, ...]:
    """Return one pattern or several as a tuple."""
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


def choose_names(
    patterns: str | Sequence[str], names: Iterable[str], option: str, owner: str = 'the model'
) -> set[str]:
    """Choose the names that any of the patterns matches.

    Args:
        patterns: Each one is a dotted prefix (``backbone.stage1``: that module and all in it), a glob
            (``*.bn*``: a module or a parameter, and all in it), or ``re:`` with a regular expression
            that is searched for in the whole name.
        names: Dotted names of parameters.
        option: What the patterns were given as, for messages.
        owner: Whose names they are, for messages.

    Returns:
        The names.

    Raises:
        ValueError: A pattern matches nothing (with near matches), or is no regular expression.
    """
    names = list(names)
    chosen = set()
    for pattern in as_patterns(patterns):
        found = _matches(pattern, names, option)
        if not found:
            raise ValueError(
                f'`{option}` has {pattern!r}, which matches none of the {len(names)} names in {owner}'
                f'{_near(pattern, names)}: its parts are {_parts(names)}; correct the pattern.'
            )
        chosen |= found
    return chosen


def last_match(values: dict[str, float], names: Iterable[str], option: str) -> dict[str, float]:
    """Give names the value of the last pattern that matches them.

    Args:
        values: By pattern, see :func:`choose_names`.
        names: Dotted names of parameters.
        option: What the patterns were given as, for messages.

    Returns:
        The values by name, of those that a pattern matches.

    Raises:
        ValueError: As :func:`choose_names`.
    """
    names = list(names)
    return {
        name: value
        for pattern, value in values.items()
        for name in choose_names(pattern, names, option)
    }


def _matches(pattern: str, names: list[str], option: str) -> set[str]:
    if pattern.startswith(REGEX):
        try:
            search = re.compile(pattern.removeprefix(REGEX)).search
        except re.error as error:
            raise ValueError(
                f'`{option}` has {pattern!r}, which is no regular expression ({error}): correct it.'
            ) from error
        return {name for name in names if search(name)}
    if any(sign in pattern for sign in '*?['):
        return {
            name for name in names if any(fnmatchcase(part, pattern) for part in _prefixes(name))
        }
    prefix = pattern.rstrip('.')
    return {name for name in names if name == prefix or name.startswith(f'{prefix}.')}


def _prefixes(name: str) -> list[str]:
    """``a``, ``a.b`` and ``a.b.c`` of ``a.b.c``."""
    return list(accumulate(name.split('.'), '{}.{}'.format))


def _near(pattern: str, names: list[str]) -> str:
    """Modules and parameters, whole names or last parts, that a pattern may have meant."""
    plain = re.sub(r'\\(.)', r'\1', re.sub(r'\.[*+]|(?<!\\)[\^$*?()\[\]|]', '', pattern))
    whole = dict.fromkeys(prefix for name in names for prefix in _prefixes(name))
    last = dict.fromkeys(part for name in names for part in name.split('.'))
    return did_you_mean(plain.removeprefix(REGEX).strip('.'), [*whole, *last])


def _parts(names: list[str]) -> str:
    parts = list(dict.fromkeys(name.partition('.')[0] for name in names))
    more = f' and {len(parts) - _MOST_PARTS} more' if len(parts) > _MOST_PARTS else ''
    return ', '.join(f'`{part}`' for part in parts[:_MOST_PARTS]) + more
