"""What attention is worth on parking slots: the same training without and with each layer."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from mmdet.registry import MODELS
from rich.table import Table

from mmdet_ext.apis.benchmark import median_seconds
from mmdet_ext.apis.equal_trainings import (
    metrics_of_training,
    metrics_over_seeds,
    spread_between_seeds,
)
from mmdet_ext.apis.models import load_model
from mmdet_ext.apis.run import load_config
from mmdet_ext.utils.configs import schedule_options
from mmdet_ext.utils.errors import did_you_mean
from mmdet_ext.utils.figures import png_of
from mmdet_ext.utils.files import write_whole
from mmdet_ext.visualization.detection_plots import BLUE, GREY, label_axes, new_figure

VARIANTS = {
    'none': None,
    'SE': 'SqueezeExcitation',
    'ECA': 'EfficientChannelAttention',
    'CBAM': 'ConvolutionalBlockAttention',
    'Coordinate': 'CoordinateAttention',
    'SimAM': 'SimpleParameterFreeAttention',
}
"""Registered layers by the name that a table gives them; any other registered layer works, too."""

_METRICS = ('slot/f1', 'slot/ap', 'point/f1')


@dataclass
class Variant:
    """What one layer gave.

    Attributes:
        layer: Its registered name; None without attention.
        parameters: Of the whole detector.
        milliseconds: Of a forward pass of one image on this machine's CPU.
        metrics: ``slot/f1``, ``slot/ap`` and ``point/f1``, one value per seed.
    """

    layer: str | None
    parameters: int = 0
    milliseconds: float = 0.0
    metrics: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in _METRICS})

    @property
    def f1(self) -> list[float]:
        """Slot F1 of each seed."""
        return self.metrics['slot/f1']


def ablate_attention(
    out_dir: str | Path,
    variants: Iterable[str] = tuple(VARIANTS),
    seeds: Sequence[int] = (0,),
    epochs: int = 16,
    images: int | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> dict[str, Variant]:
    """Train the default detector without and with attention layers, all with the same budget.

    A training that has ended is not repeated, one that was interrupted goes on from its last epoch.

    Args:
        out_dir: Folder for the trainings; ``results.json`` and ``results.png`` are written to it.
        variants: Names in :data:`VARIANTS` or of registered attention layers.
        seeds: Each variant is trained once with each.
        epochs: Of each training.
        images: Train on the first so many. Defaults to all.
        cfg_options: Values that override those of both configs.

    Returns:
        Results by the name of the variant.

    Raises:
        ValueError: An unknown variant, or a folder with results of another budget.
    """
    out_dir = Path(out_dir)
    results = {name: Variant(_layer(name)) for name in variants}
    options = dict(cfg_options or {}) | _budget(epochs, images)

    def train(name: str, seed: int) -> dict[str, float]:
        config, choice = _config(results[name].layer)
        choice = {**options, **choice, 'randomness.seed': seed}
        return metrics_of_training(config, out_dir / f'{name}_seed{seed}', choice)

    kept = {metric: metric for metric in _METRICS}
    for name, metrics in metrics_over_seeds(results, seeds, train, kept).items():
        results[name].metrics = metrics
    _measure(results, options)
    write_whole(out_dir / 'results.json', json.dumps({k: vars(v) for k, v in results.items()}))
    write_whole(out_dir / 'results.png', png_of(plot_ablation(results)))
    return results


def ablation_table(results: Mapping[str, Variant]) -> Table:
    """Results to print: means over the seeds, what a layer changes, and its cost.

    Args:
        results: As of :func:`ablate_attention`.

    Returns:
        The table; the caption says which differences are noise.
    """
    table = Table(
        'attention', 'slot F1', 'change', 'slot AP', 'point F1', 'parameters', 'forward ms'
    )
    for column in table.columns[1:]:
        column.justify = 'right'
    plain = results.get('none')
    for name, variant in results.items():
        change = statistics.mean(variant.f1) - statistics.mean(plain.f1) if plain else None
        means = [f'{statistics.mean(variant.metrics[metric]):.4f}' for metric in _METRICS]
        table.add_row(
            name,
            means[0],
            '-' if change is None or variant is plain else f'{change:+.4f}',
            *means[1:],
            f'{variant.parameters:,}',
            f'{variant.milliseconds:.1f}',
        )
    f1 = [variant.f1 for variant in results.values()]
    table.caption = spread_between_seeds('slot F1', f1)
    return table


def plot_ablation(results: Mapping[str, Variant]) -> Figure:
    """Slot F1 against time: each seed a dot, their mean a circle.

    Args:
        results: As of :func:`ablate_attention`.

    Returns:
        The figure.
    """
    figure, (axes,) = new_figure()
    for name, variant in results.items():
        colour = GREY if variant.layer is None else BLUE
        mean = statistics.mean(variant.f1)
        axes.scatter([variant.milliseconds] * len(variant.f1), variant.f1, s=9, color=colour)
        axes.scatter([variant.milliseconds], [mean], s=70, facecolors='none', edgecolors=colour)
        position = (variant.milliseconds, mean)
        axes.annotate(name, position, xytext=(7, 4), textcoords='offset points', fontsize=9)
    axes.margins(0.15)
    label_axes(axes, 'Attention between backbone and neck', 'Forward pass (ms)', 'Slot F1')
    return figure


def _layer(name: str) -> str | None:
    layer = VARIANTS.get(name, name)
    if layer is not None and MODELS.get(layer) is None:
        guess = did_you_mean(name, VARIANTS)
        raise ValueError(
            f'Unknown variant {name!r}{guess}: expected one of {", ".join(VARIANTS)}, or a registered '
            'attention layer.'
        )
    return layer


def _budget(epochs: int, images: int | None) -> dict[str, Any]:
    options = schedule_options(epochs)
    return options if images is None else {**options, 'train_dataloader.dataset.indices': images}


def _config(layer: str | None) -> tuple[str, dict[str, str]]:
    if layer is None:
        return 'ext/psd_yolo.py', {}
    return 'ext/psd_yolo_attention.py', {'model.neck.0.attention.type': layer}


@torch.no_grad()
def _measure(results: Mapping[str, Variant], options: Mapping[str, Any], rounds: int = 5) -> None:
    """Parameters and times; round after round, so that a busy moment does not hit one variant."""
    models = {}
    for name, variant in results.items():
        config, choice = _config(variant.layer)
        cfg = load_config(config, {**options, **choice})
        models[name] = load_model(cfg)[0].to(memory_format=torch.channels_last)
        variant.parameters = sum(p.numel() for p in models[name].parameters())
    width, height = cfg.image_size
    image = torch.randn(1, 3, height, width).contiguous(memory_format=torch.channels_last)
    times = {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            times[name].append(median_seconds(lambda m=model: m(image, mode='tensor'), repeats=9))
    for name, variant in results.items():
        variant.milliseconds = min(times[name]) * 1e3
