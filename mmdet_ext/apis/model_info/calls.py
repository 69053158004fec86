"""Watching the calls of a model's modules, whether made through ``__call__`` or directly."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

Method = tuple[nn.Module, str]
UNCALLED = (nn.ModuleList, nn.ModuleDict)


@contextmanager
def wrapped_methods(
    methods: Iterable[Method], wrap: Callable[[Callable, nn.Module], Callable]
) -> Iterator[None]:
    """Replace methods of modules for a while.

    Hooks would miss heads: mmdet calls their ``forward`` and ``predict`` directly.

    Args:
        methods: Modules and the names of their methods.
        wrap: Makes the replacement from the bound method and the module.
    """
    previous = []
    try:
        for module, name in methods:
            previous.append((module, name, vars(module).get(name)))
            vars(module)[name] = wrap(getattr(module, name), module)
        yield
    finally:
        for module, name, method in reversed(previous):
            vars(module).pop(name)
            if method is not None:
                vars(module)[name] = method


def named_layers(model: nn.Module, depth: int) -> dict[str, nn.Module]:
    """Modules by name down to a depth; the model's children are at depth 1.

    Lists of modules, which are never called themselves, bring what is in them whatever the depth.
    """
    layers: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        parent = name.rpartition('.')[0]
        if name and (name.count('.') < depth or isinstance(layers.get(parent), UNCALLED)):
            layers[name] = module
    return layers


class Stopwatch:
    """Time spent under each label, without that spent under labels inside it.

    Args:
        device: Waited for at each change of label.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds: Counter[str] = Counter()
        self._device = device
        self._labels: list[str] = []
        self._since = 0.0

    def labelled(self, label: str) -> Callable[[Callable, nn.Module], Callable]:
        """Make a wrapper for :func:`wrapped_methods` that measures under ``label``."""

        def wrap(method: Callable, module: nn.Module) -> Callable:
            def measured(*args: Any, **kwargs: Any) -> Any:
                self._change()
                self._labels.append(label)
                try:
                    return method(*args, **kwargs)
                finally:
                    self._change()
                    self._labels.pop()

            return measured

        return wrap

    def _change(self) -> None:
        now = now_on(self._device)
        if self._labels:
            self.seconds[self._labels[-1]] += now - self._since
        self._since = now


def now_on(device: torch.device) -> float:
    """Seconds on a clock, read when the device has finished what it was given."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter()
