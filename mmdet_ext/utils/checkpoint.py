"""Reading checkpoints: what is unsafe or of another model is refused, where mmengine only warns."""

import io
import os
import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from mmengine import fileio
from mmengine.runner.checkpoint import _load_checkpoint
from torch import nn

from mmdet_ext.utils.compat import load_weights_only

TRUST = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
"""Environment variable, torch's own: 1 lets checkpoints run code while they are loaded."""

_MODEL_ZOOS = ('torchvision://', 'modelzoo://', 'open-mmlab://', 'openmmlab://', 'mmcls://')
_NEEDED_CLASS = re.compile(r'GLOBAL ([\w.]+)')


def require_checkpoint_file(path: str) -> None:
    """Raise unless ``path`` is a file, or an address that mmengine fetches (``scheme://...``).

    Raises:
        FileNotFoundError: Naming the checkpoints that the folder has instead.
    """
    file = Path(path)
    if '://' in path or file.is_file():
        return
    others = sorted(file.parent.glob('*.pth'), key=lambda other: other.stat().st_mtime)
    remedy = (
        f'the folder has {", ".join(other.name for other in others[-3:])}'
        if others
        else 'that folder has no .pth file; train first, or correct the path'
    )
    raise FileNotFoundError(f'the checkpoint {path} does not exist: {remedy}.')


def read_checkpoint(path: str) -> Any:
    """Read a checkpoint onto the CPU without running any code in it.

    Args:
        path: A checkpoint file, or any address that mmengine loads from.

    Returns:
        What was saved.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or needs classes that could run code; set :data:`TRUST` to
            load such a file all the same.
    """
    require_checkpoint_file(path)
    try:
        if os.environ.get(TRUST, '').lower() in ('1', 'y', 'yes', 'true'):
            return _load_checkpoint(path, map_location='cpu')
        if Path(path).is_file():
            return load_weights_only(path)
        if path.startswith(_MODEL_ZOOS):
            return _load_checkpoint(path, map_location='cpu')
        return load_weights_only(io.BytesIO(fileio.get(path)))
    except Exception as error:  # torch raises half a dozen kinds for a damaged file
        needed = _NEEDED_CLASS.search(str(error)) if isinstance(error, UnpicklingError) else None
        if needed:
            raise ValueError(
                f'the checkpoint {path} needs `{needed[1]}` to load, which could run code of whoever '
                f'wrote it: if you trust where it comes from, set {TRUST}=1 and try again.'
            ) from error
        reason = str(error).strip().split('\n')[0] or type(error).__name__
        raise ValueError(
            f'{path} cannot be read as a checkpoint ({reason}): it is damaged or was not written by '
            'torch.save.'
        ) from error


def check_checkpoint(model: nn.Module, path: str, partial: bool = False) -> tuple[int, int]:
    """Compare a checkpoint's keys and shapes with a model's, before anything is loaded.

    Args:
        model: The model that the checkpoint is for, not wrapped for distributed training.
        path: A checkpoint file, or any address that mmengine loads from.
        partial: Be content with one matching parameter or more (fine-tuning), where otherwise all
            must match (testing, resuming).

    Returns:
        The number of the model's parameters and buffers that the checkpoint fits, and of all.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is unsafe, is not a checkpoint, or does not fit the model.
    """
    saved, trained_as = _read_state_dict(path)
    wanted = model.state_dict()
    matching = [key for key in wanted if key in saved and saved[key].shape == wanted[key].shape]
    if len(matching) == len(wanted) == len(saved) or (partial and matching):
        return len(matching), len(wanted)

    differences = []
    missing = [key for key in wanted if key not in saved]
    unexpected = [key for key in saved if key not in wanted]
    misshapen = [key for key in wanted if key in saved and key not in matching]
    if misshapen:
        key = misshapen[0]
        differences.append(
            f'{_first(misshapen)} has shape {tuple(saved[key].shape)} instead of '
            f'{tuple(wanted[key].shape)}'
        )
    if missing:
        differences.append(f'it lacks {_first(missing)}')
    if unexpected:
        differences.append(f'the model has no {_first(unexpected)}')
    raise ValueError(
        f'the checkpoint {path} is of another architecture: {len(matching)} of the '
        f"model's {len(wanted)} parameters match, {', '.join(differences)}; use the config that it "
        f'was trained with{trained_as}.'
    )


def _first(keys: list[str]) -> str:
    return f'`{keys[0]}`' + (f' (and {len(keys) - 1} more)' if len(keys) > 1 else '')


def _read_state_dict(path: str) -> tuple[dict, str]:
    """Return the weights in a checkpoint, and `` (NAME)`` of the run that wrote it, if it says so."""
    checkpoint = read_checkpoint(path)
    weights = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, dict) else {}
    weights = {
        key.removeprefix('module.'): value
        for key, value in weights.items()
        if hasattr(value, 'shape')
    }
    if not weights:
        raise ValueError(f'{path} holds no weights: a checkpoint has them under `state_dict`.')
    name = checkpoint.get('meta', {}).get('experiment_name')
    return weights, f' (the run {name})' if name else ''
