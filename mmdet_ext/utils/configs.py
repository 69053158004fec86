"""Where the package's configs are, from a checkout as from an installed wheel; overriding their values."""

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

CONFIGS = Path(__file__).parents[1] / '.mim/configs'


def list_configs() -> list[str]:
    """Names of the configs to train, test or inherit from, for :func:`config_path`."""
    return sorted(str(file.relative_to(CONFIGS)) for file in (CONFIGS / 'ext').rglob('*.py'))


def config_path(name: str) -> str:
    """Path of one of the package's configs, to inherit from in a config of your own.

    MMEngine evaluates ``_base_`` as an expression before anything is imported, so that one line works
    in any tool::

        _base_ = __import__('mmdet_ext').config_path('ext/psd_yolo.py')

    Args:
        name: Path below ``configs/``.

    Returns:
        An absolute path.

    Raises:
        FileNotFoundError: There is no such config; names those that there are.
    """
    path = CONFIGS / name
    if not path.is_file():
        raise FileNotFoundError(
            f'mmdet_ext has no config {name}: name one of {", ".join(list_configs())}.'
        )
    return str(path.resolve())


def schedule_options(epochs: int) -> dict[str, int]:
    """Options that train one of our configs for so many epochs and validate after the last."""
    return {
        'train_cfg.max_epochs': epochs,
        'train_cfg.val_interval': epochs,
        'param_scheduler.1.T_max': epochs,
        'param_scheduler.1.end': epochs,
    }


def refuse_idle_options(cfg: Mapping, options: Mapping) -> None:
    """Refuse overrides of a config's variables, whose values were copied when the file was read.

    MMEngine takes ``--cfg-options data_root=X`` without a word, and goes on with the old folder.

    Args:
        cfg: The config before it is overridden.
        options: Values by dotted key.

    Raises:
        ValueError: An option changes a variable whose value was copied elsewhere; says where.
    """
    from mmengine.runner import Runner  # noqa: PLC0415 (configs are found without it, too)

    read = {name: cfg[name] for name in signature(Runner).parameters if name in cfg}
    for key, value in options.items():
        places = [] if key in read or key not in cfg else _copies(read, key, cfg[key])
        if places:
            raise ValueError(
                f'the option {key}={value} would change nothing: `{key}` is a variable of the config, '
                f'whose value was copied to {", ".join(places)}; override those, or write a config that '
                'inherits from this one and sets them.'
            )


def _copies(content: Any, key: str, value: Any, place: str = '') -> list[str]:
    """Dotted keys of texts that start with ``value``, and of equal values of a like name."""
    if isinstance(content, str) and isinstance(value, str):
        return [place] if value and content.startswith(value) else []
    if type(content) is type(value) and content == value:
        return [place] if place.rpartition('.')[2] in key else []
    if isinstance(content, Mapping):
        entries = content.items()
    else:
        entries = enumerate(content) if isinstance(content, list | tuple) else ()
    return [
        found
        for name, entry in entries
        for found in _copies(entry, key, value, f'{place}.{name}'.lstrip('.'))
    ]
