"""Models of configs with the weights of checkpoints, and the devices that they can run on."""

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_checkpoint
from torch import nn

from mmdet_ext.utils.checkpoint import check_checkpoint, require_checkpoint_file
from mmdet_ext.utils.errors import explained_config_errors


def load_model(
    cfg: Config, checkpoint: str | None = None, device: torch.device | str = 'cpu'
) -> tuple[nn.Module, dict]:
    """Build a config's model to be looked at, not to be trained.

    Args:
        cfg: The config.
        checkpoint: A checkpoint that was trained with it; without one the weights are random.
        device: Where to put it; see :func:`usable_device`.

    Returns:
        The model in evaluation mode, and what the checkpoint says of the data that it was trained on,
        such as ``classes``.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        KeyError: The config names a type that is not registered.
        ValueError: The checkpoint does not fit.
    """
    if checkpoint:
        require_checkpoint_file(checkpoint)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    with explained_config_errors(cfg):
        model = revert_sync_batchnorm(MODELS.build(cfg.model))
    meta = {}
    if checkpoint:
        check_checkpoint(model, checkpoint)
        saved = load_checkpoint(model, checkpoint, map_location='cpu', logger='silent')
        meta = saved.get('meta', {}).get('dataset_meta') or {}
    for module in model.modules():
        if getattr(module, 'with_cp', False):
            module.with_cp = False  # saves memory in training; here layers would run twice
    return model.to(device).eval(), meta


def usable_device(name: str | None) -> torch.device:
    """Check a device.

    Args:
        name: Such as ``cpu`` or ``cuda:0``; None takes a GPU if there is one.

    Raises:
        ValueError: It cannot be used here.
    """
    name = name or ('cuda' if torch.cuda.is_available() else 'cpu')
    problem = device_problem(name)
    if problem:
        raise ValueError(
            f'the device {name} cannot be used ({problem}): name one of {", ".join(devices_here())}.'
        )
    return torch.device(name)


def device_problem(name: str) -> str:
    """Return why a device cannot be used here, or an empty text if it can."""
    try:
        torch.empty(1, device=name).cpu()
    # Which of them it is depends on the device and on what torch was built for.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        return str(error).split('\n')[0].rstrip('.')
    return ''


def devices_here() -> list[str]:
    """Names of the devices that this machine has."""
    return ['cpu', *(f'cuda:{i}' for i in range(torch.cuda.device_count()))]
