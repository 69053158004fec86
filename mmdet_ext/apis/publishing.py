"""Checkpoints to hand on: the weights and what they mean, at half the size if wanted."""

from pathlib import Path

import torch

from mmdet_ext.utils.checkpoint import read_checkpoint
from mmdet_ext.utils.files import moved_into_place

_KEPT = ('cfg', 'dataset_meta', 'epoch', 'iter', 'mmengine_version')


def publish_checkpoint(checkpoint: str, out: str | Path, half: bool = False) -> int:
    """Write a checkpoint without the state of its training (optimizer, schedule, message hub).

    Args:
        checkpoint: What training wrote.
        out: File to write, ``.pth``.
        half: Store weights as float16; they are loaded as whatever the model has, off by at most a
            2048th of themselves.

    Returns:
        Bytes written.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: It is unsafe, damaged, or holds no weights; or a weight is too large for float16.
    """
    content = read_checkpoint(checkpoint)
    weights = content.get('state_dict') if isinstance(content, dict) else None
    if not weights:
        raise ValueError(f'{checkpoint} has no `state_dict`: give what tools/train.py wrote.')
    if half:
        weights = {key: _halved(key, value) for key, value in weights.items()}
    meta = {key: value for key, value in content.get('meta', {}).items() if key in _KEPT}
    with moved_into_place(out) as aside:
        torch.save({'meta': meta, 'state_dict': weights}, aside)
    return Path(out).stat().st_size


def _halved(key: str, value: torch.Tensor) -> torch.Tensor:
    if not value.is_floating_point():
        return value
    half = value.half()
    if not half.isfinite().all():
        raise ValueError(
            f'`{key}` has values beyond 65504, the largest of float16: leave out --half.'
        )
    return half
