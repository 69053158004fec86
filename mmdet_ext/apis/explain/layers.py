"""Outputs of a model's layers, by their names, without editing the model."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmdet_ext.utils.errors import did_you_mean

from .subject import Subject, predict

Size = tuple[int, int]
_STRIDES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 7, 14, 28)  # those of ViTs last


@dataclass(frozen=True)
class Activation:
    """A tensor that a layer returned, and the feature maps in it.

    Attributes:
        layer: Name of the layer.
        position: How many tensors the layer returned before, in this and earlier calls.
        tensor: The tensor: ``(B, C, h, w)``, ``(B, h, w, C)`` or ``(B, N, C)``.
        channel_dim: Dimension of its channels.
        sizes: Rows and columns of each map; several where tokens of several levels are in one row.
    """

    layer: str
    position: int
    tensor: Tensor
    channel_dim: int
    sizes: tuple[Size, ...]

    @property
    def channels(self) -> int:
        """Number of its channels."""
        return self.tensor.shape[self.channel_dim]

    def maps(self, values: Tensor | None = None) -> list[Tensor]:
        """Feature maps ``(B, C, h, w)`` of the tensor, or of one of its shape, such as its gradient."""
        values = self.tensor if values is None else values
        if self.channel_dim == 1:
            return [values]
        lengths = [math.prod(size) for size in self.sizes]
        tokens = values.flatten(1, -2)[:, -sum(lengths) :]  # class tokens come first
        parts = tokens.transpose(1, 2).split(lengths, 2)
        return [part.unflatten(2, size) for part, size in zip(parts, self.sizes, strict=True)]


def find_layers(model: nn.Module, names: Sequence[str] = ()) -> dict[str, nn.Module]:
    """Find layers by name.

    Args:
        model: Any model.
        names: Such as ``backbone.stage4``; by default ``neck``, or ``backbone`` where there is none.

    Returns:
        Layers by name, in the given order.

    Raises:
        ValueError: There is no such layer; says which are similar, or which are there.
    """
    modules = dict(model.named_modules())
    if not names:
        names = ['neck' if getattr(model, 'neck', None) is not None else 'backbone']
    for name in names:
        if name not in modules or not name:
            parent = name.rpartition('.')[0]
            while parent not in modules:
                parent = parent.rpartition('.')[0]
            there = ', '.join(child for child, _ in modules[parent].named_children()) or 'nothing'
            raise ValueError(
                f'there is no layer `{name}`{did_you_mean(name, list(modules))}: '
                f'{f"`{parent}`" if parent else type(model).__name__} has {there}; '
                '--list-layers prints all.'
            )
    return {name: modules[name] for name in names}


@contextmanager
def tap(layers: Mapping[str, nn.Module], input_size: Size) -> Iterator[list[Activation]]:
    """Collect the feature maps that layers return while the block runs.

    The model goes on with copies, so that a layer that works in place (``ReLU(inplace=True)``) does not
    overwrite what was collected. A map of a single cell knows no places and is no feature map.

    Args:
        layers: Layers by name.
        input_size: Rows and columns of the network input.

    Yields:
        The activations, in the order in which they were computed.

    Raises:
        ValueError: At the end, if a layer did not run or returned no feature map.
    """
    activations: list[Activation] = []
    seen: dict[str, list[tuple]] = {name: [] for name in layers}

    def hook_of(name: str) -> Callable:
        def hook(module: nn.Module, args: tuple, kwargs: dict, output: Any) -> Any:
            sizes = list(_sizes_in([args, kwargs, output]))

            def collect(tensor: Tensor) -> Tensor:
                layout = _layout_of(tensor.shape, input_size, sizes)
                if layout is not None:
                    activations.append(Activation(name, len(seen[name]), tensor, *layout))
                seen[name].append(tuple(tensor.shape))
                return tensor.clone()

            return replace_tensors(output, collect)

        return hook

    with _hooked({layer: hook_of(name) for name, layer in layers.items()}):
        yield activations
    for name, shapes in seen.items():
        if name not in {activation.layer for activation in activations}:
            what = f'returns {shapes[0]}, which is no feature map' if shapes else 'does not run'
            raise ValueError(
                f'the layer `{name}` {what}: choose one of those that --list-layers prints.'
            )


def list_layers(model: nn.Module, subject: Subject) -> list[list[str]]:
    """Layers that return feature maps.

    Args:
        model: A detector of mmdet, or ours.
        subject: The image.

    Returns:
        Name, class, and channels x rows x columns of each map, in the order in which they run.
    """
    found: dict[str, list[str]] = {}

    def hook_of(name: str) -> Callable:
        def hook(module: nn.Module, args: tuple, kwargs: dict, output: Any) -> None:
            sizes = list(_sizes_in([args, kwargs, output]))

            def note(tensor: Tensor) -> Tensor:
                layout = _layout_of(tensor.shape, subject.input_size, sizes)
                for size in layout[1] if layout else ():
                    row = found.setdefault(name, [name, type(module).__name__])
                    row.append(f'{tensor.shape[layout[0]]} x {size[0]} x {size[1]}')
                return tensor

            replace_tensors(output, note)

        return hook

    with _hooked({module: hook_of(name) for name, module in model.named_modules() if name}):
        predict(model, subject)
    return list(found.values())


@contextmanager
def ablate(layer: nn.Module, activation: Activation, channels: Sequence[int]) -> Iterator[None]:
    """Set a channel of an activation to zero while the block runs, another one in each image.

    Args:
        layer: The layer.
        activation: Which of its outputs.
        channels: One per image of the batch.
    """
    count = 0

    def hook(module: nn.Module, args: tuple, kwargs: dict, output: Any) -> Any:
        def zero(tensor: Tensor) -> Tensor:
            nonlocal count
            count += 1
            if count - 1 != activation.position:
                return tensor
            tensor = tensor.clone()
            images = torch.arange(len(channels), device=tensor.device)
            tensor.movedim(activation.channel_dim, 1)[images, list(channels)] = 0
            return tensor

        return replace_tensors(output, zero)

    with _hooked({layer: hook}):
        yield


@contextmanager
def _hooked(hooks: Mapping[nn.Module, Callable]) -> Iterator[None]:
    handles = [layer.register_forward_hook(hook, with_kwargs=True) for layer, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def replace_tensors(
    value: Any, replace: Callable[[Tensor], Tensor], done: dict[int, Tensor] | None = None
) -> Any:
    """Replace the floating-point tensors in what a module returned, one that is there twice once.

    Args:
        value: A tensor, or tuples, lists and mappings with tensors in them.
        replace: What to put for each.
        done: For calls of itself.

    Returns:
        The same, with other tensors.
    """
    done = {} if done is None else done
    if isinstance(value, Tensor) and value.is_floating_point():
        if id(value) not in done:
            done[id(value)] = replace(value)
        return done[id(value)]
    if isinstance(value, Mapping):
        return type(value)((key, replace_tensors(v, replace, done)) for key, v in value.items())
    if isinstance(value, list | tuple):
        parts = [replace_tensors(part, replace, done) for part in value]
        return type(value)(*parts) if hasattr(value, '_fields') else type(value)(parts)
    return value


def stride_of(size: Size, input_size: Size) -> int | None:
    """Pixels per cell of a feature map, or None if its size does not follow from the input's.

    Args:
        size: Rows and columns of the map.
        input_size: Those of the network input.
    """
    for stride in (*_STRIDES, *range(1, max(input_size))):
        floors = [length // stride for length in input_size]
        ceilings = [-(-length // stride) for length in input_size]
        if all(a <= b <= c for a, b, c in zip(floors, size, ceilings, strict=True)):
            return stride
    return None


def _layout_of(
    shape: Sequence[int], input_size: Size, known: Sequence[Sequence[Size]]
) -> tuple[int, tuple[Size, ...]] | None:
    """Dimension of the channels and sizes of the maps in a tensor of one image, if there are any."""
    if len(shape) == 4 and shape[0] == 1:
        for channel_dim, size in ((1, tuple(shape[2:])), (3, tuple(shape[1:3]))):
            if math.prod(size) > 1 and stride_of(size, input_size) is not None:
                return channel_dim, (size,)
    if len(shape) == 3 and shape[0] == 1:
        lengths = (shape[1], shape[1] - 1)  # perhaps with a class token
        for sizes in (*known, *([size] for size in _grids(input_size))):
            total = sum(math.prod(size) for size in sizes)
            if total > 1 and total in lengths:
                return 2, tuple(sizes)
    return None


def _grids(input_size: Size) -> Iterator[Size]:
    for stride in _STRIDES:
        for up in (stride - 1, 0):
            yield tuple((length + up) // stride for length in input_size)


def _sizes_in(value: Any) -> Iterator[list[Size]]:
    """Pairs of integers, and tables of such, among the arguments of a layer: sizes of its maps."""
    if isinstance(value, Tensor):
        if value.ndim == 2 and value.shape[1] == 2 and not value.is_floating_point():
            yield [tuple(size) for size in value.tolist()]
    elif isinstance(value, Mapping):
        yield from _sizes_in(list(value.values()))
    elif isinstance(value, list | tuple):
        if len(value) == 2 and all(type(number) is int for number in value):
            yield [tuple(value)]
        for part in value:
            yield from _sizes_in(part)
