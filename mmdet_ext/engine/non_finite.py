"""Where values that are not finite come from: the image, the label, the module."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmdet_ext.utils.batches import image_files_of
from mmdet_ext.utils.tensors import tensors_in


def is_finite(value: Any) -> bool:
    """Tell whether all numbers are finite; what holds no floating-point numbers is."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind != 'f' or bool(np.isfinite(value).all())
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(value.isfinite().all())
    return not isinstance(value, float) or bool(np.isfinite(value))


def non_finite_inputs(batch: Any) -> list[str]:
    """Name the images and labels of a batch that hold NaN or infinity.

    Args:
        batch: As the data loader gives it: ``inputs`` and ``data_samples``.

    Returns:
        Such as ``the image a.png`` and ``the label gt_instances.bboxes of a.png``.
    """
    files = image_files_of(batch)
    found = [
        f'the image {file}'
        for file, image in zip(files, batch['inputs'], strict=True)
        if not is_finite(image)
    ]
    for file, sample in zip(files, batch.get('data_samples') or [], strict=False):
        found += [f'the label {name} of {file}' for name in _non_finite_labels(sample)]
    return found


def non_finite_outputs(model: nn.Module, run: Callable[[], Any]) -> tuple[Any, str]:
    """Run a model and find where in its forward pass the first values arise that are not finite.

    Args:
        model: What ``run`` runs, any number of its modules.
        run: Runs it.

    Returns:
        What ``run`` returned, and the place in words; empty if every module gave finite values.
    """
    found: list[str] = []

    def before(name: str, module: nn.Module, args: tuple, kwargs: dict) -> None:
        # Masks of attention may be minus infinity.
        values = [v for v in tensors_in((args, kwargs)) if v.is_floating_point()]
        if not found and any(bool((v.isnan() | v.isposinf()).any()) for v in values):
            parent = name.rpartition('.')[0] or 'the model'
            found.append(f'{_quoted(parent)} makes them between its modules, before `{name}`')

    def after(name: str, module: nn.Module, args: tuple, output: Any) -> None:
        if not found and not all(map(is_finite, tensors_in(output))):
            bad = [key for key, value in module.named_parameters() if not is_finite(value)]
            weights = f', whose `{bad[0]}` itself is not finite' if bad else ', from finite inputs'
            found.append(
                f'`{name}` ({type(module).__name__}) is the first module to give such values{weights}'
            )

    handles: list[RemovableHandle] = []
    for name, module in model.named_modules():
        if name:  # the model's own inputs are looked at before, its outputs are the losses
            handles += _forward_hooks(name, module, before, after)
    try:
        with torch.no_grad():
            result = run()
    finally:
        for handle in handles:
            handle.remove()
    return result, ''.join(found)


def non_finite_gradients(model: nn.Module, run: Callable[[], Tensor]) -> str:
    """Run a model forwards and backwards and find the first gradient that is not finite.

    Args:
        model: What ``run`` runs.
        run: Runs it and returns the loss; gradients of parameters stay as they are.

    Returns:
        The place in words; empty if all gradients are finite.
    """
    found: list[str] = []

    def watch(name: str, module: nn.Module, args: tuple, output: Any) -> None:
        def look(gradient: Tensor) -> None:
            if not found and not is_finite(gradient):
                found.append(
                    f'going backwards, the gradient of what `{name}` ({type(module).__name__}) '
                    'gives is the first such'
                )

        for tensor in tensors_in(output):
            if tensor.requires_grad:
                tensor.register_hook(look)

    modules = [(name, module) for name, module in model.named_modules() if name]
    handles = [
        module.register_forward_hook(lambda *call, name=name: watch(name, *call))
        for name, module in modules
    ]
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    try:
        gradients = torch.autograd.grad(run(), list(named.values()), allow_unused=True)
    finally:
        for handle in handles:
            handle.remove()
    bad = [
        name for name, g in zip(named, gradients, strict=True) if g is not None and not is_finite(g)
    ]
    if not bad:
        return ''
    return f'the gradients of {len(bad)} of {len(named)} parameters, such as `{bad[-1]}`' + ''.join(
        f'; {place}' for place in found
    )


def _forward_hooks(
    name: str, module: nn.Module, before: Callable, after: Callable
) -> list[RemovableHandle]:
    return [
        module.register_forward_pre_hook(lambda *call: before(name, *call), with_kwargs=True),
        module.register_forward_hook(lambda *call: after(name, *call)),
    ]


def _quoted(name: str) -> str:
    return name if ' ' in name else f'`{name}`'


def _non_finite_labels(value: Any, name: str = '') -> Iterator[str]:
    """Dotted names of fields with NaN or infinity."""
    if isinstance(value, BaseDataElement):
        value = dict(value.items())
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _non_finite_labels(entry, f'{name}.{key}'.lstrip('.'))
    elif not is_finite(getattr(value, 'tensor', value)):  # boxes of mmdet hold a tensor
        yield name
