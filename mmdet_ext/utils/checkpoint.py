"""Reading checkpoints: what is unsafe or of another model is refused, where mmengine only warns."""

import io
import os
import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from mmengine import fileio
from mmengine.runner.checkpoint import _load_checkpoint
from torch import nn

from mmdet_ext.utils.compat import load_weights_only
from mmdet_ext.utils.state_dicts import StateDict, compare, weights_in

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


def read_checkpoint(path: str, allow_pickle: bool | None = None) -> Any:
    """Read a checkpoint onto the CPU without running any code in it.

    Args:
        path: A checkpoint file, of ``torch.save`` or ``.safetensors``, or any address that mmengine
            loads from.
        allow_pickle: Load a file that could run code all the same. By default :data:`TRUST` decides,
            and the message says so.

    Returns:
        What was saved.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or needs classes that could run code or are not installed.
        ImportError: If it is of safetensors, which is not installed.
    """
    require_checkpoint_file(path)
    trusted = allow_pickle or os.environ.get(TRUST, '').lower() in ('1', 'y', 'yes', 'true')
    try:
        return _read(path, trusted)
    except ModuleNotFoundError as error:
        if path.endswith('.safetensors'):
            raise
        raise ValueError(
            f'the checkpoint {path} needs the package `{error.name}` to load: install it, or save the '
            '`state_dict()` of its model where it is installed.'
        ) from error
    except Exception as error:  # torch raises half a dozen kinds for a damaged file
        needed = _NEEDED_CLASS.search(str(error)) if isinstance(error, UnpicklingError) else None
        if needed:
            remedy = (
                f'set {TRUST}=1'
                if allow_pickle is None
                else 'give `allow_pickle=True` (--allow-pickle)'
            )
            raise ValueError(
                f'the checkpoint {path} needs `{needed[1]}` to load, which could run code of whoever '
                f'wrote it: if you trust where it comes from, {remedy} and try again.'
            ) from error
        reason = str(error).strip().split('\n')[0] or type(error).__name__
        if isinstance(error, UnpicklingError):  # torch goes on about itself and how to be less safe
            reason = 'no pickle of tensors'
        writer = 'safetensors' if path.endswith('.safetensors') else 'torch.save'
        raise ValueError(
            f'{path} cannot be read as a checkpoint ({reason}): it is damaged or was not written by '
            f'{writer}.'
        ) from error


def _read(path: str, trusted: bool) -> Any:
    is_file = Path(path).is_file()
    if path.endswith('.safetensors'):
        return _read_safetensors(Path(path).read_bytes() if is_file else fileio.get(path))
    if path.startswith(_MODEL_ZOOS):
        return _load_checkpoint(path, map_location='cpu')
    file = path if is_file else io.BytesIO(fileio.get(path))
    if trusted:
        return torch.load(file, map_location='cpu', weights_only=False)
    return load_weights_only(file)


def _read_safetensors(content: bytes) -> StateDict:
    try:
        from safetensors.torch import load  # noqa: PLC0415 (only if there is such a file)
    except ImportError as error:
        raise ModuleNotFoundError(
            'a .safetensors file is read with safetensors, which is not installed: '
            "pip install 'mmdet_ext[timm]' brings it."
        ) from error
    return load(content)


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
    fitting, misshapen, missing, foreign = compare(saved, wanted)
    if len(fitting) == len(wanted) == len(saved) or (partial and fitting):
        return len(fitting), len(wanted)

    differences = []
    if misshapen:
        key = misshapen[0]
        differences.append(
            f'{_first(misshapen)} has shape {tuple(saved[key].shape)} instead of '
            f'{tuple(wanted[key].shape)}'
        )
    if missing:
        differences.append(f'it lacks {_first(missing)}')
    if foreign:
        differences.append(f'the model has no {_first(foreign)}')
    raise ValueError(
        f'the checkpoint {path} is of another architecture: {len(fitting)} of the '
        f"model's {len(wanted)} parameters match, {', '.join(differences)}; use the config that it "
        f'was trained with{trained_as}.'
    )


def _first(keys: list[str]) -> str:
    return f'`{keys[0]}`' + (f' (and {len(keys) - 1} more)' if len(keys) > 1 else '')


def _read_state_dict(path: str) -> tuple[dict, str]:
    """Return the weights in a checkpoint, and `` (NAME)`` of the run that wrote it, if it says so."""
    checkpoint = read_checkpoint(path)
    weights = {
        key.removeprefix('module.'): value
        for key, value in weights_in(checkpoint, ('state_dict',)).items()
    }
    if not weights:
        raise ValueError(f'{path} holds no weights: a checkpoint has them under `state_dict`.')
    meta = checkpoint.get('meta', {}) if isinstance(checkpoint, dict) else {}
    name = meta.get('experiment_name')
    return weights, f' (the run {name})' if name else ''
