"""Distributed runs on machines without a GPU."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from torch import distributed


@contextmanager
def cpu_process_group(cfg: Config) -> Iterator[None]:
    """Start and end a gloo process group for ``launcher='pytorch'`` when there is no GPU.

    mmengine's own start-up picks a CUDA device first and fails without one. With a GPU, another
    launcher or a group that runs already, this does nothing.

    Args:
        cfg: The run's config; gets a ``model_wrapper_cfg`` that keeps the model on the CPU.

    Raises:
        ValueError: If the process was not started by torchrun.
    """
    if cfg.launcher != 'pytorch' or torch.cuda.is_available() or distributed.is_initialized():
        yield
        return
    missing = [name for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR') if name not in os.environ]
    if missing:
        raise ValueError(
            f'--launcher pytorch found no {", ".join(missing)} in the environment: start it through '
            'tools/dist_train.sh, tools/dist_test.sh or torchrun.'
        )
    distributed.init_process_group('gloo')
    defaults = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    cfg.model_wrapper_cfg = {**defaults, **cfg.get('model_wrapper_cfg', {})}
    try:
        yield
    finally:
        distributed.destroy_process_group()
