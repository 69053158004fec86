"""What a run asks of its machines, checked before it starts."""

from collections.abc import Mapping

import torch
from mmengine.dist import get_world_size
from mmengine.runner import Runner

_GPU_ONLY = {
    'AmpOptimWrapper': 'BFloat16OptimWrapper',
    'FloodingAmpOptimWrapper': 'FloodingBFloat16OptimWrapper',
    'ApexOptimWrapper': 'BFloat16OptimWrapper',
}


def require_devices(cfg: Mapping) -> None:
    """Refuse a config that computes on a GPU only, on a machine without one.

    Args:
        cfg: The run's config.

    Raises:
        ValueError: If its optimizer wrapper does so.
    """
    kind = (cfg.get('optim_wrapper') or {}).get('type')
    if kind in _GPU_ONLY and not torch.cuda.is_available():
        raise ValueError(
            f'`optim_wrapper.type` is {kind}, which needs a GPU, and this machine shows none: take '
            f'{_GPU_ONLY[kind]}, or OptimWrapper and the option --amp, which chooses by the machine.'
        )


def require_a_share_for_each_rank(runner: Runner) -> None:
    """Refuse to train with more processes than images.

    Args:
        runner: Before its training.

    Raises:
        ValueError: If there are fewer images than processes.
    """
    processes = get_world_size()
    if processes == 1:
        return
    images = len(runner.train_loop.dataloader.dataset)
    if images < processes:
        raise ValueError(
            f'the {images} images to train on are fewer than the {processes} processes, some of which '
            f'would only repeat what others do: start at most {images}.'
        )
