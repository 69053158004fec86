"""Trainings on the same budget, to compare what differs between them."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.runner import find_latest_checkpoint

from mmdet_ext.apis.run import evaluate, train
from mmdet_ext.utils.files import parse_json, write_whole

_RESULT = 'result.json'


def metrics_of_training(
    config: str,
    folder: Path,
    options: Mapping[str, Any],
    test_options: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Train and test, unless that has been done in this folder; go on where it was interrupted.

    Args:
        config: One of ours.
        folder: Of this training alone.
        options: Values that override the config's.
        test_options: More of them for testing.

    Returns:
        The metrics of the last checkpoint.

    Raises:
        ValueError: The folder holds a training with another config or other options.
    """
    key = json.loads(json.dumps({'config': config, **options}))
    if (folder / _RESULT).is_file():
        result = parse_json(folder / _RESULT)
        if result['key'] != key:
            raise ValueError(
                f'{folder} holds a training with another budget or other options: choose another '
                'output folder, or remove it.'
            )
        return result['metrics']
    # mmengine takes `_delete_` out of the options that it is given: each time a copy.
    train(config, work_dir=str(folder), resume='auto', cfg_options=deepcopy(dict(options)))
    checkpoint = find_latest_checkpoint(str(folder))
    options = deepcopy({**options, **(test_options or {})})
    found = evaluate(config, checkpoint, work_dir=str(folder), cfg_options=options)
    metrics = {name: float(value) for name, value in found.items()}
    write_whole(folder / _RESULT, json.dumps({'key': key, 'metrics': metrics}))
    return metrics


def spread_between_seeds(name: str, values: Sequence[Sequence[float]]) -> str:
    """Say how much of a difference may be chance.

    Args:
        name: Of the metric.
        values: Of each variant, one for each seed.

    Returns:
        A sentence, to stand below a table.
    """
    seeds = len(values[0])
    if seeds < 2:
        return 'One seed: how much of a change is chance is unknown.'
    spread = max(max(own) - min(own) for own in values)
    return f'{seeds} seeds; between seeds alone {name} moves by up to {spread:.4f}.'
