"""Random augmentation that does not depend on which worker loads a sample, or when."""

from collections.abc import Callable
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from mmdet_ext.engine.random_state import seed_for_sample


@HOOKS.register_module()
class SampleSeedHook(Hook):
    """Seed the generators anew for each sample that a worker process loads.

    What augmentation draws is then a function of the run's seed, the epoch and the sample's index:
    the same for any number of workers and after a resume, where MMEngine's workers start again with
    the seeds of the first epoch. Without workers nothing is changed, since samples then draw from the
    process's own generators, whose states :class:`SafeCheckpointHook` saves. Loaders get a generator of
    their own, so that starting workers draws nothing from the model's.
    """

    def __init__(self) -> None:
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # seen by running workers

    def before_train(self, runner: Runner) -> None:
        """Prepare the loaders before their workers start."""
        for loop in (runner.train_loop, runner.val_loop):
            if loop is not None:
                loop.dataloader.generator = torch.Generator().manual_seed(runner.seed)
        loader = runner.train_loop.dataloader
        if not isinstance(loader.dataset, IterableDataset):
            loader.worker_init_fn = _SeededWorker(loader.worker_init_fn, runner.seed, self._epoch)

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the workers."""
        self._epoch.fill_(runner.epoch)


class _SeededWorker:
    """``worker_init_fn`` that makes the worker's own copy of the dataset seed each sample."""

    def __init__(self, init: Callable[[int], None] | None, seed: int, epoch: Tensor) -> None:
        self.init, self.seed, self.epoch = init, seed, epoch

    def __call__(self, worker_id: int) -> None:
        if self.init is not None:
            self.init(worker_id)
        dataset = get_worker_info().dataset
        kind = type(dataset)

        def load(dataset: Any, index: int) -> Any:
            seed_for_sample(self.seed, int(self.epoch), int(index))
            return kind.__getitem__(dataset, index)

        dataset.__class__ = type(kind.__name__, (kind,), {'__getitem__': load})
