"""The model, optimizer and data of a config, as its training would start with them."""

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint, set_random_seed
from torch import nn
from torch.utils.data import DataLoader


def build_subject(cfg: Config) -> tuple[nn.Module, OptimWrapper]:
    """Build model and optimizer of a config, with the weights it starts from.

    Hooks of the config do not act, but for ``ChannelsLastHook``, which changes how fast it is.

    Args:
        cfg: A config; stays as it is.

    Returns:
        The model in training mode on the GPU, if there is one, and its optimizer's wrapper.

    Raises:
        ValueError: The config has several optimizers.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    if 'optimizer' not in cfg.optim_wrapper:
        raise ValueError(
            f'`optim_wrapper` of the config has no `optimizer`, but {", ".join(cfg.optim_wrapper)}: '
            'a learning rate or batch size can be found for one optimizer only.'
        )
    set_random_seed(cfg.get('randomness', {}).get('seed') or 0)
    model = MODELS.build(copy.deepcopy(cfg.model))
    with _quiet():
        model.init_weights()
    if cfg.get('load_from'):
        load_checkpoint(model, cfg.load_from, map_location='cpu')
    model = model.to(get_device()).train()
    if any(hook['type'] == 'ChannelsLastHook' for hook in cfg.get('custom_hooks') or []):
        model = model.to(memory_format=torch.channels_last)
    return model, build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without a line on each parameter that is initialised."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def build_loader(cfg: Config) -> DataLoader:
    """Build the training data loader of a config."""
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    return Runner.build_dataloader(copy.deepcopy(cfg.train_dataloader), seed=0)


def endless(loader: DataLoader) -> Iterator[Any]:
    """Batches of a loader, from the start again when it is through."""
    while True:
        yield from loader
