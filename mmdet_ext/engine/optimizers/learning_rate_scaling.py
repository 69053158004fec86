"""Linear scaling of the learning rate with the batch that a step of the optimizer sees."""

from collections.abc import Mapping

from mmengine.optim import OptimWrapper
from mmengine.runner import Runner


def count_accumulation(runner: Runner) -> None:
    """Let ``auto_scale_lr`` count the batches whose gradients are accumulated for a step.

    mmengine scales the learning rate by batch size times processes over ``base_batch_size`` (Goyal et
    al.: Accurate, Large Minibatch SGD, 2017, arXiv:1706.02677) and forgets
    ``optim_wrapper.accumulative_counts``. The config that the runner keeps stays as it is.

    Args:
        runner: Before its training, with one optimizer; does nothing unless ``auto_scale_lr`` is
            enabled.
    """
    scaling = runner.auto_scale_lr or {}
    counts = _accumulative_counts(runner.optim_wrapper)
    if not scaling.get('enable') or 'base_batch_size' not in scaling or counts == 1:
        return
    base = scaling['base_batch_size']
    runner.auto_scale_lr = dict(enable=True, base_batch_size=base / counts)
    runner.logger.info(
        f'{counts} batches are accumulated for each step of the optimizer: the learning rate, which '
        f'is for {base} images, is scaled as if it were for {base / counts:g} per batch'
    )


def _accumulative_counts(wrapper: OptimWrapper | Mapping | None) -> int:
    if isinstance(wrapper, OptimWrapper):
        return wrapper._accumulative_counts
    return wrapper.get('accumulative_counts', 1) if isinstance(wrapper, Mapping) else 1
