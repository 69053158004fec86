"""Parameters and multiply-accumulates, of a model and of each of its modules."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from mmengine.analysis import FlopAnalyzer, parameter_count
from torch import Tensor, nn

from mmdet_ext.utils.tensors import tensors_in


@dataclass
class Parameters:
    """How many parameters there are.

    Attributes:
        total: Of the model; shared ones count once.
        trainable: With gradients.
        frozen: Without.
        parts: Of each child of the model, and each parameter of its own; they add up to ``total``.
    """

    total: int
    trainable: int
    frozen: int
    parts: dict[str, int]


@dataclass
class Complexity:
    """Multiply-accumulates (MACs) of one forward pass.

    They are what ``mmengine.analysis`` and mmdet's ``get_flops.py`` call flops: one multiplication
    with its addition counts 1; normalisation, interpolation and pooling count 1 to 5 per element.

    Attributes:
        macs: Of the model.
        modules: Of each module, by its name, its own modules included.
        parts: Of each child of the model, and ``(other)``; they add up to ``macs``.
        operators: Of each kind of operator; they add up to ``macs``, too.
        uncounted: How often each operator ran that nothing is counted for.
    """

    macs: int
    modules: dict[str, int] = field(repr=False)
    parts: dict[str, int]
    operators: dict[str, int]
    uncounted: dict[str, int]

    @property
    def flops(self) -> int:
        """Floating-point operations: two per multiply-accumulate."""
        return 2 * self.macs


def count_parameters(model: nn.Module) -> Parameters:
    """Count a model's parameters.

    Args:
        model: Any module.

    Returns:
        The counts.
    """
    counts = parameter_count(model)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    parts = {name: count for name, count in counts.items() if name and '.' not in name}
    return Parameters(counts[''], trainable, counts[''] - trainable, parts)


@torch.no_grad()
def count_macs(model: nn.Module, inputs: Tensor, **arguments: Any) -> Complexity:
    """Count the multiply-accumulates of ``model(inputs, **arguments)``.

    Args:
        model: In evaluation mode: in training mode normalisation costs more.
        inputs: A batch of images.
        arguments: Further arguments of the model's ``forward``.

    Returns:
        The counts, for the whole batch.
    """
    analyzer = FlopAnalyzer(model, (inputs,)).set_op_handle(**_HANDLES)
    analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    analyzer.tracer_warnings('none')
    with _traceable(model, arguments):
        modules = {name: int(count) for name, count in analyzer.by_module().items()}
    parts = {name: modules[name] for name, _ in model.named_children() if modules.get(name)}
    other = modules[''] - sum(parts.values())
    return Complexity(
        macs=modules[''],
        modules=modules,
        parts=parts | ({'(other)': other} if other else {}),
        operators={name: int(n) for name, n in Counter(analyzer.by_operator()).most_common() if n},
        uncounted=dict(Counter(analyzer.unsupported_ops()).most_common()),
    )


@contextmanager
def _traceable(model: nn.Module, arguments: dict) -> Iterator[None]:
    """Let ``model(inputs)`` return a flat tuple, all that tracing takes, whatever the model returns."""
    forward, own = model.forward, vars(model).get('forward')
    vars(model)['forward'] = lambda inputs: tuple(tensors_in(forward(inputs, **arguments)))
    try:
        yield
    finally:
        vars(model).pop('forward')
        if own is not None:
            vars(model)['forward'] = own


def _sizes(value: torch._C.Value) -> list[int] | None:
    return value.type().sizes() if value.isCompleteTensor() else None


def _attention(inputs: list, outputs: list) -> int:
    query, key, value = (_sizes(tensor) for tensor in inputs[:3])
    return prod(query) * key[-2] + prod(query[:-1]) * prod(value[-2:])


def _added_product(inputs: list, outputs: list) -> int:
    return prod(_sizes(inputs[1])) * _sizes(inputs[2])[-1]


def _deformable_convolution(inputs: list, outputs: list) -> int:
    """As of a convolution: samples are weighted like pixels; interpolating them does not count."""
    shapes = [_sizes(value) or [] for value in inputs]
    (image, *others), result = shapes, _sizes(outputs[0])
    weight = next(s for s in others if len(s) == 4 and s[0] == result[1] and image[1] % s[1] == 0)
    return prod(result) * prod(weight[1:])


_HANDLES = {
    'aten::scaled_dot_product_attention': _attention,
    'aten::baddbmm': _added_product,
    'prim::PythonOp.DeformConv2dFunction': _deformable_convolution,
    'prim::PythonOp.ModulatedDeformConv2dFunction': _deformable_convolution,
}
"""Operators that mmengine does not know."""
