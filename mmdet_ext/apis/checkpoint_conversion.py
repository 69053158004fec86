"""Checkpoints of others as checkpoints of a config."""

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmdet_ext.apis.models import load_model
from mmdet_ext.utils.files import moved_into_place
from mmdet_ext.utils.partial_checkpoint import LoadReport, load_partly

_KEPT = ('loaded', 'sliced', 'reinitialised')


def convert_checkpoint(
    checkpoint: str, config: Config, out: str | Path, **options: Any
) -> LoadReport:
    """Write those weights of a checkpoint that fit a config's model, by the names of the model.

    Args:
        checkpoint: File or address of the checkpoint.
        config: The config, to train with ``load_from`` or to fine-tune with.
        out: File to write, ``.pth``; it has what fits and nothing else.
        options: As for :func:`mmdet_ext.utils.partial_checkpoint.load_partly`.

    Returns:
        What became of each weight.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        KeyError: The config names a type that is not registered.
        ValueError: The checkpoint is unsafe, damaged or of another model, or ``out`` is the checkpoint
            itself.
    """
    if Path(out).resolve() == Path(checkpoint).resolve():
        raise ValueError(f'{out} is the checkpoint itself: write to another file.')
    model, _ = load_model(config)
    report = load_partly(model, checkpoint, **options)
    weights = model.state_dict()
    kept = {name: weights[name] for outcome in _KEPT for name in report.names(outcome)}
    with moved_into_place(out) as aside:
        torch.save({'meta': {}, 'state_dict': kept}, aside)
    return report
