"""Trainings on the same budget, to compare what differs between them."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
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


def metrics_over_seeds(
    names: Iterable[str],
    seeds: Sequence[int],
    train: Callable[[str, int], Mapping[str, float]],
    metrics: Mapping[str, str],
) -> dict[str, dict[str, list[float]]]:
    """Train each variant with each seed.

    Args:
        names: Of the variants.
        seeds: Of the trainings.
        train: Gives the metrics of a variant, by name, and seed.
        metrics: What is kept: the names they get, and those that ``train`` gives them.

    Returns:
        For each variant these metrics, one value per seed.
    """
    results = {name: {metric: [] for metric in metrics} for name in names}
    for seed in seeds:  # outside, so that an interrupted comparison has all with few seeds
        for name, values in results.items():
            found = train(name, seed)
            for metric, key in metrics.items():
                values[metric].append(found[key])
    return results


def folder_name(variant: str) -> str:
    """A variant's name as part of a folder's: letters, digits, ``-`` and ``_``."""
    return ''.join(letter if letter.isalnum() or letter == '-' else '_' for letter in variant)


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
