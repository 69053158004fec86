"""Weights by name: finding them in what was saved, comparing them with what a model has."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

StateDict = dict[str, Tensor]


class Comparison(NamedTuple):
    """Names of weights, in order.

    Attributes:
        fitting: In both, with the same shape.
        misshapen: In both, with different shapes.
        missing: Of the model only.
        foreign: Saved only.
    """

    fitting: list[str]
    misshapen: list[str]
    missing: list[str]
    foreign: list[str]


def compare(saved: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Comparison:
    """Compare saved weights with a model's by names and shapes.

    Args:
        saved: The weights.
        wanted: The model's, or those of them that matter.

    Returns:
        What fits and what does not.
    """
    common = [key for key in wanted if key in saved]
    return Comparison(
        fitting=[key for key in common if saved[key].shape == wanted[key].shape],
        misshapen=[key for key in common if saved[key].shape != wanted[key].shape],
        missing=[key for key in wanted if key not in saved],
        foreign=[key for key in saved if key not in wanted],
    )


def weights_in(content: Any, entries: Sequence[str]) -> StateDict:
    """Find the weights in what was saved.

    Args:
        content: Weights by name, a module, or a mapping that has such a thing under one of ``entries``.
        entries: Names of entries to look for, in order.

    Returns:
        The tensors by name; empty if there are none.
    """
    for entry in entries:
        inner = content.get(entry) if isinstance(content, Mapping) else None
        if isinstance(inner, Mapping | nn.Module):
            return weights_in(inner, entries)
    if isinstance(content, nn.Module):
        content = content.state_dict()
    pairs = content.items() if isinstance(content, Mapping) else ()
    return {str(key): value for key, value in pairs if isinstance(value, Tensor)}


def is_counter(name: str) -> bool:
    """Tell whether it counts batches, which old files lack and only a momentum of None reads."""
    return name.endswith('num_batches_tracked')
