"""All processes of a run have the same versions and the same config, or it does not start."""

import platform
import socket
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from mmengine.config import Config
from torch import distributed

MODULES = ('torch', 'mmengine', 'mmcv', 'mmdet', 'mmdet_ext')


def require_same_run(cfg: Config) -> None:
    """Compare this process's versions and config with rank 0's, on all ranks.

    Ranks that differ hang or, worse, train: each on a model or data of its own.

    Args:
        cfg: The run's config.

    Raises:
        ValueError: If a rank differs; on all ranks, with the first difference.
    """
    mine = dict(
        host=socket.gethostname(),
        versions=versions(),
        config={path: repr(value) for path, value in _leaves(cfg.to_dict())},
    )
    everyone: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(everyone, mine)
    for rank, other in enumerate(everyone[1:], 1):
        where = f'rank {rank} (on {other["host"]})', f'rank 0 (on {everyone[0]["host"]})'
        _require_same_versions(where, other['versions'], everyone[0]['versions'])
        _require_same_config(where, other['config'], everyone[0]['config'])


def versions() -> dict[str, str]:
    """Versions that a run depends on, by module."""
    return {'python': platform.python_version()} | {
        name: import_module(name).__version__ for name in MODULES
    }


def _require_same_versions(where: tuple[str, str], found: dict, expected: dict) -> None:
    different = [name for name in expected if found[name] != expected[name]]
    if different:
        name = different[0]
        raise ValueError(
            f'{where[0]} has {name} {found[name]}, {where[1]} has {expected[name]}: install the same '
            f'versions of {", ".join(different)} everywhere.'
        )


def _require_same_config(where: tuple[str, str], found: dict, expected: dict) -> None:
    missing = 'not there'
    for path in sorted({*found, *expected}):
        values = found.get(path, missing), expected.get(path, missing)
        if values[0] != values[1]:
            raise ValueError(
                f'`{path}` of the config is {values[0]} on {where[0]} and {values[1]} on {where[1]}: '
                'start all ranks with the same config and options (folders that differ by machine: '
                'behind links of one name).'
            )


def _leaves(node: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        children = node.items()
    elif isinstance(node, list | tuple):
        children = enumerate(node)
    else:
        yield path, node
        return
    for key, child in children:
        yield from _leaves(child, f'{path}.{key}'.lstrip('.'))
