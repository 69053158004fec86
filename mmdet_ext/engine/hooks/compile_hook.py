"""Compilation of the parts of a model that it pays for."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.utils import digit_version
from torch import nn

from mmdet_ext.utils.errors import did_you_mean
from mmdet_ext.utils.model_wrappers import unwrapped


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile backbone and neck with ``torch.compile``.

    mmengine's own ``compile=True`` compiles the whole training step, labels and logging included, and
    fails on mmdet's detectors. Here only modules from tensors to tensors are compiled, each when it is
    first called: minutes on a CPU, which needs a C++ compiler. Names of weights, checkpoints and
    copies of the model (moving averages, fused batch norms) stay what they are; copies are not compiled.

    Args:
        parts: Names of the modules. A head may be added whose ``forward`` maps features to maps.
        options: Arguments of :func:`torch.compile`.
    """

    def __init__(
        self, parts: Sequence[str] = ('backbone', 'neck'), options: Mapping[str, Any] | None = None
    ) -> None:
        self.parts, self.options = tuple(parts), dict(options or {})

    def before_train(self, runner: Runner) -> None:
        """Mark the parts; torch compiles them at their first call."""
        if digit_version(torch.__version__) < digit_version('2.2'):
            raise ValueError(
                f'CompileHook needs torch 2.2: compilation in torch {torch.__version__} makes optimizers '
                'forget the hooks that guards and penalties hang on; leave it out.'
            )
        compile_parts(unwrapped(runner.model), self.parts, self.options)


def compile_parts(
    model: nn.Module, parts: Sequence[str], options: Mapping[str, Any] | None = None
) -> None:
    """Compile modules of a model in place.

    Args:
        model: A detector.
        parts: Names of the modules, such as ``backbone``.
        options: Arguments of :func:`torch.compile`.

    Raises:
        ValueError: The model has no such module.
    """
    modules = dict(model.named_modules())
    for part in parts:
        if part not in modules:
            children = [name for name, _ in model.named_children()]
            raise ValueError(
                f'`parts` of CompileHook names {part!r}{did_you_mean(part, dict(model.named_children()))}, but '
                f'{type(model).__name__} has no such module: name some of {", ".join(children)}.'
            )
        modules[part].compile(**(options or {}))
