"""Training by epochs that can go on in the middle of one."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from mmdet.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import DataLoader


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """MMEngine's ``EpochBasedTrainLoop``, which can leave out the batches that an epoch has had.

    Attributes:
        batches_done: How many batches to leave out in the first epoch; not loaded at all.
    """

    batches_done = 0

    def run_epoch(self) -> None:
        """Run one epoch, or what is left of it."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        done, self.batches_done = self.batches_done, 0
        for index, batch in enumerate(batches_from(self.dataloader, done), done):
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


def batches_from(loader: DataLoader, start: int) -> Iterator[Any]:
    """Iterate over a loader without its first batches, which are not loaded.

    Args:
        loader: A loader of a map-style dataset.
        start: How many batches to leave out.

    Returns:
        An iterator over the others.
    """
    if start == 0:
        return iter(loader)
    whole = loader.batch_sampler
    vars(loader)['batch_sampler'] = _WithoutFirst(whole, start)  # DataLoader forbids to set it
    try:
        return iter(loader)
    finally:
        vars(loader)['batch_sampler'] = whole


class _WithoutFirst:
    """Batches of indices without the first ones; once only, as persistent workers come back to it."""

    def __init__(self, batches: Any, start: int) -> None:
        self.batches, self.start = batches, start

    def __iter__(self) -> Iterator[Any]:
        start, self.start = (
            self.start,
            0,
        )  # at the first batch: loaders make iterators that they drop
        yield from islice(iter(self.batches), start, None)

    def __len__(self) -> int:
        return len(self.batches)
