"""Operators of torch as a forward pass runs them, and boxes of the tensors they work on."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils._pytree import tree_flatten

Range = tuple[int, int] | None
Box = tuple[Range, ...]
Factor = tuple[int, Range]  # with the size of the dimension


class Merged(tuple):
    """Range of a dimension that stands for several: first and last index, and the range of each.

    Args:
        factors: Size and range of each dimension.
    """

    factors: Sequence[Factor]

    def __new__(cls, factors: Sequence[Factor]) -> 'Merged':  # noqa: D102 (see the class)
        first = last = 0
        for size, r in factors:
            low, high = r or (0, size - 1)
            first = first * size + min(max(low, 0), size - 1)
            last = last * size + min(max(high, 0), size - 1)
        merged = super().__new__(cls, (first, last))
        merged.factors = factors
        return merged


def hull(a: Box, b: Box) -> Box:
    """Return the smallest box that contains two boxes of one tensor."""
    return tuple(_range_hull(x, y) for x, y in zip(a, b, strict=True))


def _range_hull(x: Range, y: Range) -> Range:
    if x is None or y is None:
        return None
    if isinstance(x, Merged) and isinstance(y, Merged):
        sizes = [size for size, _ in x.factors]
        if sizes == [size for size, _ in y.factors]:
            ranges = hull(*(tuple(r for _, r in merged.factors) for merged in (x, y)))
            return Merged(list(zip(sizes, ranges, strict=True)))
    return min(x[0], y[0]), max(x[1], y[1])


def reshaped(before: Sequence[int], box: Sequence[Range], after: Sequence[int]) -> list[Range]:
    """Return the box of a tensor that is seen in another shape of the same size.

    Args:
        before: Shape that the box is of.
        box: The box.
        after: The other shape.

    Returns:
        The smallest box in the other shape; a merged dimension remembers its factors, so that it can
        be split as it was.
    """
    factors: list[Factor] = []
    for size, r in zip(before, box, strict=True):
        factors += r.factors if isinstance(r, Merged) else [(size, r)]
    ranges: list[Range] = []
    for one, other in _groups([size for size, _ in factors], after):
        ranges += _regrouped(factors[one], after[other])
    return ranges


def _groups(one: Sequence[int], other: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """Split two shapes of the same size into the shortest stretches that agree in size."""
    i = j = 0
    while i < len(one) or j < len(other):
        start, first = i, j
        left = right = 1
        while left != right or (i, j) == (start, first):
            if j == len(other) or (left <= right and i < len(one)):
                left, i = left * one[i], i + 1
            else:
                right, j = right * other[j], j + 1
        yield slice(start, i), slice(first, j)


def _regrouped(factors: Sequence[Factor], sizes: Sequence[int]) -> list[Range]:
    factors = [(size, r) for size, r in factors if size > 1]
    if all(r is None for _, r in factors):
        return [None] * len(sizes)
    if sum(size > 1 for size in sizes) == 1:
        r = factors[0][1] if len(factors) == 1 else Merged(factors)
        return [r if size > 1 else (0, 0) for size in sizes]
    return _unravel(*Merged(factors), sizes)


def _unravel(first: int, last: int, sizes: Sequence[int]) -> list[Range]:
    ranges: list[Range] = []
    for i in range(len(sizes)):
        rest = math.prod(sizes[i + 1 :])
        ranges.append((first // rest, last // rest))
        if first // rest != last // rest:
            return ranges + [None] * (len(sizes) - i - 1)
        first, last = first % rest, last % rest
    return ranges


@dataclass(frozen=True)
class Source:
    """A tensor that an operator took.

    Attributes:
        number: Of the operator that it came from; None for a constant.
        shape: Its shape.
    """

    number: int | None
    shape: tuple[int, ...]


@dataclass
class Operator:
    """An operator that ran.

    Attributes:
        name: As torch calls it, without the underscore of its in-place form.
        arguments: Values by name; tensors are sources.
        shapes: Of its outputs.
        index: Which of its outputs this is.
        in_place: Whether it was the in-place form.
        pointwise: Whether torch says that it works element by element.
    """

    name: str
    arguments: dict[str, Any]
    shapes: list[tuple[int, ...]]
    index: int = 0
    in_place: bool = False
    pointwise: bool = False

    @property
    def sources(self) -> list[Source]:
        """All tensors among the arguments."""
        values = tree_flatten(list(self.arguments.values()))[0]
        return [value for value in values if isinstance(value, Source)]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the output."""
        return self.shapes[self.index]

    def __getitem__(self, argument: str) -> Any:
        return self.arguments[argument]


Sources = list[tuple[Source, Box]]
Rule = Callable[[Operator, Box], Sources]

POINTWISE = frozenset(
    [
        'alias',
        'clone',
        'contiguous',
        'detach',
        'dropout',
        'lift_fresh',
        '_to_copy',
        'native_dropout',
        'prelu',
        '_prelu_kernel',
        'leaky_relu',
        'hardtanh',
        'hardsigmoid',
        'hardswish',
        'silu',
        'mish',
        'gelu',
        'elu',
        'celu',
        'relu6',
        'softplus',
        'native_batch_norm',
        'cudnn_batch_norm',
        'miopen_batch_norm',
        '_native_batch_norm_legit',
        '_native_batch_norm_legit_no_training',
        'native_group_norm',
        'native_layer_norm',
    ]
)
"""Besides those that torch marks as such."""


def is_pointwise(operator: Operator) -> bool:
    """Whether each element of the output comes from the elements at its place."""
    return operator.pointwise or operator.name in POINTWISE


def broadcast(box: Box, shape: Sequence[int]) -> Box:
    """Return the box of an input of ``shape`` that was broadcast to the box's tensor."""
    kept = box[len(box) - len(shape) :] if len(shape) <= len(box) else (None,) * len(shape)
    return tuple(
        (0, 0) if n == 1 and r is not None else r for r, n in zip(kept, shape, strict=True)
    )


def by_name(rules: Mapping[str, Rule]) -> dict[str, Rule]:
    """Take apart keys that name several operators."""
    return {name: rule for names, rule in rules.items() for name in names.split()}
