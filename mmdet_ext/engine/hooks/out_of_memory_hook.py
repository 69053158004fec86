"""Going on with smaller batches when memory runs out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor, nn

from mmdet_ext.utils.batches import batch_size_of, split_batch
from mmdet_ext.utils.out_of_memory import is_out_of_memory

TrainStep = Callable[[Any, OptimWrapper], dict[str, Tensor]]


@HOOKS.register_module()
class OutOfMemoryHook(Hook):
    """Split the batch in two, and again, when memory runs out in a training step, and accumulate.

    The same batch is tried again in parts, and so are all that follow. Each part's loss counts by its
    share of the images, so the step of the optimizer and the learning rate stay those of the whole
    batch. Two things differ: batch norms see the smaller parts, and losses that are normalised by the
    number of objects are so in each part.

    For training in one process: ranks that wait for each other cannot tell why one of them is late.
    """

    def __init__(self) -> None:
        self.parts = 1

    def before_train(self, runner: Runner) -> None:
        """Catch the errors of the model's training step."""
        if isinstance(runner.optim_wrapper, OptimWrapperDict):
            raise ValueError(
                'OutOfMemoryHook splits steps of one optimizer, but `optim_wrapper` holds '
                f'{", ".join(runner.optim_wrapper.keys())}: remove the hook from `custom_hooks`.'
            )
        train_step = runner.model.train_step

        def recovering_step(data: Any, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
            before = _versions_of_gradients(optim_wrapper)
            while True:
                try:
                    return _run_in_parts(train_step, data, optim_wrapper, self.parts)
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    self._split(runner, data, error)
                # Not in the except clause, whose traceback would keep the tensors alive.
                if before != _versions_of_gradients(optim_wrapper):
                    self._discard_gradients(runner)
                    before = []
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()

        runner.model.train_step = recovering_step  # on the instance, as mmengine compiles it

    def after_train(self, runner: Runner) -> None:
        """Leave the model as it was."""
        vars(runner.model).pop('train_step', None)

    def _split(self, runner: Runner, data: Any, error: BaseException) -> None:
        size = batch_size_of(data)
        reason = str(error).partition('\n')[0].rstrip('.')
        if get_world_size() > 1:
            raise ValueError(
                f'memory ran out with {size} images per process ({reason}), which cannot be mended '
                'while other processes wait: lower `train_dataloader.batch_size` and raise '
                '`optim_wrapper.accumulative_counts` by the same factor.'
            ) from error
        if self.parts >= size:
            raise ValueError(
                f'memory ran out even with one image at a time ({reason}): make the images or the '
                'model smaller, or free memory.'
            ) from error
        self.parts *= 2
        counts = runner.optim_wrapper._accumulative_counts * self.parts
        runner.logger.warning(
            f'memory ran out ({reason}): batches of {size} images are now split into {self.parts} '
            'parts whose gradients are accumulated; the batch size per step stays. Start with '
            f'train_dataloader.batch_size={-(-size // self.parts)} and optim_wrapper.'
            f'accumulative_counts={counts} to save the failed attempts.'
        )

    def _discard_gradients(self, runner: Runner) -> None:
        """Drop the part that the failed attempt has added to, and so what was accumulated before."""
        wrapper = runner.optim_wrapper
        wrapper.zero_grad()
        lost = wrapper._inner_count % wrapper._accumulative_counts
        if lost:
            runner.logger.warning(
                f'the gradients of {lost} batches that were accumulated before are lost to this step.'
            )


class _PartOfStep:
    """Stands in for the optimizer wrapper in the training step of one part of a batch."""

    def __init__(self, wrapper: OptimWrapper, share: float, is_last: bool) -> None:
        self._wrapper, self._share, self._is_last = wrapper, share, is_last

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with self._wrapper.optim_context(model):
            yield

    def update_params(self, loss: Tensor) -> None:
        loss = loss * self._share
        if self._is_last:
            self._wrapper.update_params(loss)
            return
        count = self._wrapper._inner_count  # of whole batches
        self._wrapper.should_update = lambda: False
        try:
            self._wrapper.update_params(loss)
        finally:
            del self._wrapper.should_update
            self._wrapper._inner_count = count


def _run_in_parts(
    train_step: TrainStep, data: Any, wrapper: OptimWrapper, parts: int
) -> dict[str, Tensor]:
    if parts == 1:
        return train_step(data, optim_wrapper=wrapper)
    batches = split_batch(data, parts)
    size = batch_size_of(data)
    values: dict[str, Tensor] = {}
    for i, batch in enumerate(batches):
        share = batch_size_of(batch) / size
        step = _PartOfStep(wrapper, share, i + 1 == len(batches))
        for name, value in train_step(batch, optim_wrapper=step).items():
            values[name] = values.get(name, 0) + value * share
    return values


def _versions_of_gradients(wrapper: OptimWrapper) -> list[int]:
    """Numbers that differ once anything was added to the gradients."""
    groups = wrapper.optimizer.param_groups
    return [p.grad._version for group in groups for p in group['params'] if p.grad is not None]
