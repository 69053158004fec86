"""Which part of the input an output depends on: the operators of a forward pass, walked backwards.

For each operator of torch a rule tells which part of its inputs a part of its output is computed from.
A part is a box: for each dimension the first and the last index, or None for all of it. Indices may
lie outside the tensor, in its padding. Statistics of normalisation do not count, as is usual for
receptive fields.
"""

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from . import mixing, moving
from .operators import Box, Operator, Source, broadcast, hull, is_pointwise

RULES = mixing.RULES | moving.RULES
# What an operator compiled outside torch makes its result with, before it fills it out of sight.
CREATION = ('new_empty', 'new_zeros')
COMPILED = 'an operator compiled outside torch'


class DependenceRecorder(TorchDispatchMode):
    """Records how tensors come from ``root`` while it is active.

    Args:
        root: A tensor to trace back to.

    Attributes:
        unknown: How often each operator was met, in the last :meth:`box_of`, whose positions cannot
            be told apart; all of its input counts as seen.
    """

    def __init__(self, root: Tensor) -> None:
        super().__init__()
        self.unknown: Counter[str] = Counter()
        self._shape = tuple(root.shape)
        self._operators: list[Operator | None] = [None]  # of the root
        self._numbers = WeakTensorKeyDictionary()
        self._numbers[root] = 0

    def number_of(self, tensor: Tensor) -> int | None:
        """Where in the record a tensor stands; None if it does not depend on the root."""
        return self._numbers.get(tensor)

    def box_of(self, number: int, box: Box) -> Box | None:
        """Follow part of a tensor back to the root.

        Args:
            number: Of the tensor, from :meth:`number_of`.
            box: For each of its dimensions, the first and the last index, or None for all.

        Returns:
            The smallest such box of the root that contains all that the part depends on. Padding
            counts, so that indices may be negative or beyond the end. None: it depends on nothing.
        """
        self.unknown = Counter()
        boxes: dict[int, Box] = {number: box}
        for current in range(number, 0, -1):
            if current not in boxes:
                continue
            operator = self._operators[current]
            for source, seen in self._sources(operator, boxes.pop(current)):
                if source.number is not None:
                    before = boxes.get(source.number)
                    boxes[source.number] = seen if before is None else hull(before, seen)
        return boxes.get(0)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        before = tree_map(self._source, (args, kwargs))
        result = func(*args, **kwargs)
        if any(isinstance(s, Source) and s.number is not None for s in tree_flatten(before)[0]):
            outputs = [tensor for tensor in tree_flatten(result)[0] if isinstance(tensor, Tensor)]
            for index, tensor in enumerate(outputs):
                shapes = [tuple(output.shape) for output in outputs]
                self._add(tensor, _operator(func, *before, shapes, index))
        return result

    def _source(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return Source(self._numbers.get(value), tuple(value.shape))

    def _add(self, tensor: Tensor, operator: Operator) -> None:
        number = len(self._operators)
        self._operators.append(operator)
        if operator.in_place and tensor._is_view():
            base = tensor._base
            written = dict(old=self._source(base), new=Source(number, tuple(tensor.shape)))
            self._numbers[tensor] = number
            number += 1
            self._operators.append(Operator('writing into a part', written, [tuple(base.shape)]))
            tensor = base
        self._numbers[tensor] = number

    def _sources(self, operator: Operator, box: Box) -> list[tuple[Source, Box]]:
        if operator.name in RULES:
            return RULES[operator.name](operator, box)
        if is_pointwise(operator):
            return [(source, broadcast(box, source.shape)) for source in operator.sources]
        sources = [source for source in operator.sources if source.number is not None]
        if sources:
            self.unknown[COMPILED if operator.name in CREATION else operator.name] += 1
        return [(source, (None,) * len(source.shape)) for source in sources]


def _operator(func: Any, args: tuple, kwargs: dict, shapes: list, index: int) -> Operator:
    schema = func._schema
    names = [argument.name for argument in schema.arguments]
    values = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
    values |= dict(zip(names, args, strict=False)) | kwargs
    name = schema.name.partition('::')[2]
    in_place = name.endswith('_') and not name.endswith('__')
    pointwise = torch.Tag.pointwise in func.tags
    return Operator(
        name.rstrip('_') if in_place else name, values, shapes, index, in_place, pointwise
    )
