"""Where the package's configs are, from a checkout as from an installed wheel."""

from pathlib import Path

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
