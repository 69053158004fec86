"""Loading a backbone's weights from a file: all of them and of the same network, or none."""

import logging
from collections.abc import Callable

from mmengine.logging import print_log
from torch import nn

from mmdet_ext.utils.checkpoint import read_checkpoint
from mmdet_ext.utils.state_dicts import StateDict, compare, is_counter, weights_in


def pretrained_cfg(module: nn.Module) -> dict | None:
    """Return the first ``dict(type='Pretrained', ...)`` in a module's ``init_cfg``."""
    configs = module.init_cfg if isinstance(module.init_cfg, list) else [module.init_cfg or {}]
    return next((config for config in configs if config.get('type') == 'Pretrained'), None)


def read_weights(path: str, prefix: str | None = None) -> StateDict:
    """Read weights from a file, whether bare or under ``state_dict`` (mmengine) or ``model`` (MAE).

    Args:
        path: A file, or any address that mmengine loads from.
        prefix: Take only what starts with this, ``'backbone.'`` for the backbone of a detector.

    Returns:
        The weights, names without the prefix.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint or has nothing under the prefix.
    """
    weights = weights_in(read_checkpoint(path), ('state_dict', 'model'))
    prefix = prefix.rstrip('.') + '.' if prefix else ''
    chosen = {key[len(prefix) :]: v for key, v in weights.items() if key.startswith(prefix)}
    if not chosen:
        inside = f', first `{next(iter(weights))}`' if weights else ''
        raise ValueError(
            f'{path} has no weights{f" whose names start with `{prefix}`" if prefix else ""}: it holds '
            f'{len(weights)} tensors{inside}; correct the path{" or the prefix" if prefix else ""}.'
        )
    return chosen


def load_weights(
    module: nn.Module, weights: StateDict, source: str, name: str, ignored: Callable[[str], bool]
) -> None:
    """Load weights that are exactly those of a network, save parts that it has no use for.

    Args:
        module: What they are for.
        weights: By the module's own names.
        source: Where they come from, for messages.
        name: What the module is, for messages.
        ignored: Tells which further names may be there, such as a classifier's.

    Raises:
        ValueError: If the weights are of another network.
    """
    wanted = module.state_dict()
    needed = {key: value for key, value in wanted.items() if not is_counter(key)}
    fitting, misshapen, missing, _ = compare(weights, needed)
    foreign = [key for key in weights if key not in wanted and not ignored(key)]
    if misshapen or missing or foreign:
        key = (misshapen or missing or foreign)[0]
        if misshapen:
            difference = f'has shape {tuple(weights[key].shape)}, not {tuple(wanted[key].shape)}'
        else:
            difference = 'is missing' if missing else f'does not exist in {name}'
        raise ValueError(
            f'{source} holds the weights of another network than {name}: of {len(needed)} parameters '
            f'{len(fitting)} match, and `{key}` {difference}; give a file of {name}.'
        )
    module.load_state_dict(weights, strict=False)
    print_log(f'{name}: {len(needed)} weights from {source}', 'current', logging.INFO)
