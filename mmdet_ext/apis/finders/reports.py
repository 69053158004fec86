"""What the finders found, in words and in a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from mmengine.config import Config

from mmdet_ext.apis.run import load_config, prepare_data
from mmdet_ext.utils.figures import png_of
from mmdet_ext.utils.files import write_whole

from .batch_size import BatchSizes, find_batch_size
from .learning_rate import LearningRateSweep, find_learning_rate
from .plots import plot_batch_sizes, plot_learning_rates


def learning_rate_report(
    config: str, out: str | None = None, *, cfg_options: Mapping | None = None, **options: Any
) -> str:
    """Find a learning rate and write the plot.

    Args:
        config: A config file.
        out: The PNG file; by default ``learning_rate.png`` in the config's work folder.
        cfg_options: Values that override the config's.
        options: Of :func:`find_learning_rate`.

    Returns:
        The suggestions.
    """
    cfg = _config(config, cfg_options)
    sweep = find_learning_rate(cfg, **options)
    path = _write(plot_learning_rates(sweep), out, cfg, 'learning_rate.png')
    return _in_words(sweep) + f'\n{path}'


def batch_size_report(
    config: str, out: str | None = None, *, cfg_options: Mapping | None = None, **options: Any
) -> str:
    """Find a batch size and write the plot.

    Args:
        config: A config file.
        out: The PNG file; by default ``batch_size.png`` in the config's work folder.
        cfg_options: Values that override the config's.
        options: Of :func:`find_batch_size`.

    Returns:
        The measurements and suggestions.
    """
    cfg = _config(config, cfg_options)
    found = find_batch_size(cfg, **options)
    path = _write(plot_batch_sizes(found), out, cfg, 'batch_size.png')
    return '\n'.join([*_rows(found), _suggestion(found), str(path)])


def _config(config: str, cfg_options: Mapping | None) -> Config:
    cfg = load_config(config, cfg_options)
    prepare_data(cfg)
    return cfg


def _write(figure: Figure, out: str | None, cfg: Config, name: str) -> Path:
    path = Path(out) if out else Path(cfg.work_dir) / name
    write_whole(path, png_of(figure))
    return path


def _in_words(sweep: LearningRateSweep) -> str:
    lines = [
        f'where the loss falls fastest: {sweep.steepest:.2g}',
        f'a tenth of where it is lowest: {sweep.tenth_of_minimum:.2g}',
        f'the config has:               {sweep.current:.2g}',
        f'try: --cfg-options optim_wrapper.optimizer.lr={sweep.steepest:.2g}',
    ]
    if sweep.is_falling:
        lines.append(
            f'the loss still falls at {sweep.rates[-1]:.2g}: sweep higher to see its minimum'
        )
    return '\n'.join(lines)


def _rows(found: BatchSizes) -> list[str]:
    rows = ['batch  images/s  GiB']
    rows += [
        f'{size:5}  {images:8.1f}  {found.memory[size]:.2f}'
        for size, images in found.throughput.items()
    ]
    return rows


def _suggestion(found: BatchSizes) -> str:
    kind = ', an estimate by the memory of the smaller ones' if found.is_estimate else ''
    bound = (
        f'{found.most}, the greatest that was to be tried'
        if found.largest == found.most
        else f'{found.largest}, within {found.limit:.3g} GiB ({found.limit_reason})'
    )
    size = found.fast_enough
    return (
        f'largest that fits: {bound}{kind}\n'
        f'nearly the fastest from {size} on, with a learning rate of {found.scaled_rate(size):.2g} '
        f'({found.rate:.2g} is for {found.rate_is_for} images per step): --cfg-options '
        f'train_dataloader.batch_size={size} optim_wrapper.optimizer.lr={found.scaled_rate(size):.2g}'
    )
