"""Packages whose contents are imported when they are asked for."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def import_when_asked_for(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a package (PEP 562).

    So that parts of it that need less than others, such as the runtime without torch, import less.

    Args:
        package: Its ``__name__``.
        homes: Submodule by the name that the package lends.
    """

    def get(name: str) -> Any:
        if name in homes:
            return getattr(import_module(f'{package}.{homes[name]}'), name)
        raise AttributeError(f'module {package!r} has no attribute {name!r}')

    return get
