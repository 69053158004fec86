"""Tensors in whatever modules return."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def tensors_in(value: Any) -> list[Tensor]:
    """All tensors in nested lists, tuples and mappings, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    elif not isinstance(value, list | tuple):
        return []
    return [tensor for item in value for tensor in tensors_in(item)]
