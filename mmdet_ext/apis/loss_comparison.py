"""What each loss is worth: one training per loss in one slot of a detector, all else equal."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmdet.registry import MODELS
from rich.table import Table

from mmdet_ext.apis.equal_trainings import (
    folder_name,
    metrics_of_training,
    metrics_over_seeds,
    spread_between_seeds,
)
from mmdet_ext.apis.run import load_config
from mmdet_ext.utils.configs import schedule_options
from mmdet_ext.utils.errors import did_you_mean
from mmdet_ext.utils.files import write_whole

VARIANTS = {
    'loss_bbox': {
        'L1': dict(type='L1Loss', loss_weight=1.0),
        'IoU': dict(type='IoULoss', mode='linear', loss_weight=2.0),
        'GIoU': dict(type='TorchvisionGIoULoss', loss_weight=2.0),
        'DIoU': dict(type='TorchvisionDIoULoss', loss_weight=2.0),
        'CIoU': dict(type='TorchvisionCIoULoss', loss_weight=2.0),
    },
    'loss_cls': {
        'focal': dict(type='FocalLoss', use_sigmoid=True),
        'torchvision focal': dict(type='TorchvisionFocalLoss', use_sigmoid=True),
        'focal, alpha < 0': dict(type='TorchvisionFocalLoss', use_sigmoid=True, alpha=-1),
        'BCE': dict(type='CrossEntropyLoss', use_sigmoid=True),
        'smoothed BCE': dict(type='SmoothedCrossEntropyLoss', use_sigmoid=True, smoothing=0.01),
    },
}
"""Losses by slot of the head and by the name that a table gives them; the first is the baseline."""

METRICS = {'AP': 'coco/bbox_mAP', 'AP50': 'coco/bbox_mAP_50', 'AR': 'coco/bbox_AR@100'}
"""Metrics of :class:`mmdet.evaluation.CocoMetric` by the heads of their columns."""

_TEST_OPTIONS = {'test_evaluator.metric_items': ['mAP', 'mAP_50', 'AR@100']}


@dataclass
class LossResult:
    """What one loss gave.

    Attributes:
        loss: Its config.
        metrics: By the names in :data:`METRICS`, one value per seed.
    """

    loss: dict[str, Any]
    metrics: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in METRICS})


def compare_losses(
    out_dir: str | Path,
    slot: str = 'loss_bbox',
    variants: Iterable[str] | None = None,
    seeds: Sequence[int] = (0,),
    epochs: int = 8,
    images: int | None = None,
    config: str = 'ext/retinanet_parking_slots.py',
) -> dict[str, LossResult]:
    """Train a detector once with each loss in a slot of its head, all with the same budget.

    A training that has ended is not repeated, one that was interrupted goes on from its last epoch.
    Losses of the IoU family compare boxes, not offsets, so the head decodes for them.

    Args:
        out_dir: Folder for the trainings; ``results.json`` is written to it.
        slot: ``loss_bbox`` or ``loss_cls``.
        variants: Names in :data:`VARIANTS` or of registered losses. Defaults to all of the slot.
        seeds: Each variant is trained once with each.
        epochs: Of each training.
        images: Train on the first so many. Defaults to all.
        config: One of ours whose model has a ``bbox_head`` with these slots and whose ``test_evaluator``
            is a ``CocoMetric``.

    Returns:
        Results by the name of the variant.

    Raises:
        ValueError: An unknown slot or variant, a config that does not fit, or a folder with results of
            another budget.
    """
    if slot not in VARIANTS:
        raise ValueError(f'The slot is {slot!r}, but must be one of {", ".join(VARIANTS)}.')
    _check_config(config, slot)
    names = VARIANTS[slot] if variants is None else variants
    results = {name: LossResult(_loss(slot, name)) for name in names}
    options = schedule_options(epochs)
    if images is not None:
        options['train_dataloader.dataset.indices'] = images

    def train(name: str, seed: int) -> dict[str, float]:
        folder = Path(out_dir, f'{slot}_{folder_name(name)}_seed{seed}')
        choice = {**options, 'randomness.seed': seed, **_loss_options(slot, results[name].loss)}
        return metrics_of_training(config, folder, choice, _TEST_OPTIONS)

    for name, metrics in metrics_over_seeds(results, seeds, train, METRICS).items():
        results[name].metrics = metrics
    text = json.dumps({name: vars(result) for name, result in results.items()}, indent=1)
    write_whole(Path(out_dir, 'results.json'), text)
    return results


def comparison_table(results: Mapping[str, LossResult]) -> Table:
    """Results to print: means over the seeds, and what changes against the first loss.

    Args:
        results: As of :func:`compare_losses`.

    Returns:
        The table; the caption says which differences are noise.
    """
    table = Table('loss', *METRICS, 'change of AP')
    for column in table.columns[1:]:
        column.justify = 'right'
    means = {
        name: [statistics.mean(values) for values in result.metrics.values()]
        for name, result in results.items()
    }
    first = next(iter(means))
    for name, values in means.items():
        change = '-' if name == first else f'{values[0] - means[first][0]:+.3f}'
        table.add_row(name, *(f'{value:.3f}' for value in values), change)
    aps = [result.metrics['AP'] for result in results.values()]
    table.caption = spread_between_seeds('AP', aps)
    return table


def _loss(slot: str, name: str) -> dict[str, Any]:
    if name in VARIANTS[slot]:
        return VARIANTS[slot][name]
    if MODELS.get(name) is None:
        raise ValueError(
            f'Unknown loss {name!r}{did_you_mean(name, list(VARIANTS[slot]))}: expected one of '
            f'{", ".join(VARIANTS[slot])}, or a registered loss.'
        )
    return dict(type=name, use_sigmoid=True) if slot == 'loss_cls' else dict(type=name)


def _loss_options(slot: str, loss: Mapping[str, Any]) -> dict[str, Any]:
    options = {f'model.bbox_head.{slot}': dict(_delete_=True, **loss)}
    if slot == 'loss_bbox':
        options['model.bbox_head.reg_decoded_bbox'] = 'IoU' in loss['type']
    return options


def _check_config(config: str, slot: str) -> None:
    cfg = load_config(config)
    if slot not in cfg.model.get('bbox_head', {}):
        raise ValueError(f'{config} has no `model.bbox_head.{slot}`: give one that has.')
    evaluator = cfg.get('test_evaluator')
    if not isinstance(evaluator, dict) or evaluator.get('type') != 'CocoMetric':
        raise ValueError(f'the `test_evaluator` of {config} must be one CocoMetric.')
