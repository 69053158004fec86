"""The model's graph in TensorBoard."""

import copy
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmdet_ext.utils.model_wrappers import unwrapped
from mmdet_ext.utils.tensors import tensors_in

from .tensorboard_writer import tensorboard_writer


@HOOKS.register_module()
class TensorboardGraphHook(Hook):
    """Write the graph of the model's forward pass (``mode='tensor'``) to TensorBoard, once.

    It is traced with the first image of the first batch; ``Visualizer.add_graph`` of mmengine does
    nothing. A model that cannot be traced costs one warning and nothing else.
    """

    def __init__(self) -> None:
        self._done = False

    @master_only
    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Write the graph, at the first iteration."""
        writer = None if self._done else tensorboard_writer(runner.visualizer)
        self._done = True
        if writer is None:
            return
        model = unwrapped(runner.model)
        try:
            with _undisturbed(model), redirect_stdout(io.StringIO()):  # it prints errors it raises
                images, samples = _first_image(model, data_batch)
                named = type(type(model).__name__, (_Forward,), {})  # as the graph is headed
                writer.add_graph(named(model, samples), images, use_strict_trace=False)
        except Exception as error:
            reason = str(error).strip().partition('\n')[0]
            runner.logger.warning(
                f'The graph of {type(model).__name__} is not in TensorBoard, for it cannot be '
                f'traced: {type(error).__name__}: {reason}'
            )


class _Forward(nn.Module):
    """What is traced; data samples are constants to it."""

    def __init__(self, model: nn.Module, samples: list | None) -> None:
        super().__init__()
        self.model = model
        self.samples = samples

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return tensors_in(self.model(images, self.samples, mode='tensor'))


def _first_image(model: nn.Module, data_batch: dict) -> tuple[torch.Tensor, list | None]:
    first = {
        'inputs': data_batch['inputs'][:1],
        'data_samples': copy.deepcopy(data_batch['data_samples'][:1]),
    }
    data = model.data_preprocessor(first, training=False)
    return data['inputs'], data['data_samples']


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Leave the modes of all modules and the random numbers as they are, whatever tracing does."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(), torch.no_grad():
            warnings.simplefilter('ignore')  # the tracer's, of every shape that Python looks at
            yield
    finally:
        for module, training in modes:
            module.training = training
