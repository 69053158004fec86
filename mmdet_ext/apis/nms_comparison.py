"""What each NMS makes of the same detections: one pass of a detector, then one NMS after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmdet_ext.apis.models import load_model, usable_device
from mmdet_ext.apis.nms_benchmark import VARIANTS, with_threshold
from mmdet_ext.apis.run import load_config, prepare_data
from mmdet_ext.models.layers.nms import batched_nms
from mmdet_ext.utils.errors import did_you_mean

_METRICS = ('bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75', 'bbox_AR@100')


@dataclass
class NMSResult:
    """What one NMS gave.

    Attributes:
        name: The NMS.
        ap: COCO's average precision.
        ap50: At IoU 0.5.
        ap75: At IoU 0.75.
        ar: Average recall of at most 100 boxes per image.
        boxes: Per image.
    """

    name: str
    ap: float
    ap50: float
    ap75: float
    ar: float
    boxes: float


def compare_nms(
    config: str,
    checkpoint: str,
    variants: Sequence[str] | None = None,
    iou_threshold: float = 0.5,
    max_per_img: int = 100,
    device: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> list[NMSResult]:
    """Test a detector once without NMS, then evaluate what each NMS makes of its boxes.

    Args:
        config: Of a detector of boxes whose ``test_evaluator`` is a ``CocoMetric``; single-stage, or
            two-stage with its NMS in ``test_cfg.rcnn``.
        checkpoint: Trained with it.
        variants: Names in :data:`mmdet_ext.apis.nms_benchmark.VARIANTS`. Defaults to all.
        iou_threshold: Of those that have one.
        max_per_img: Boxes kept after NMS, the best of an image.
        device: Such as ``cuda:0``. Defaults to a GPU if there is one.
        cfg_options: Values that override the config's, such as ``model.test_cfg.score_thr``.

    Returns:
        The results, in the order of the variants.

    Raises:
        ValueError: An unknown variant, or a config that does not fit.
    """
    names = list(VARIANTS) if variants is None else variants
    for name in names:
        if name not in VARIANTS:
            raise ValueError(
                f'The NMS {name!r} is unknown{did_you_mean(name, list(VARIANTS))}: choose from '
                f'{", ".join(VARIANTS)}.'
            )
    cfg = load_config(config, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    _leave_out_nms(cfg, config)
    prepare_data(cfg)
    samples, meta = _detect(cfg, checkpoint, device)
    results = []
    for name in names:
        nms = with_threshold(VARIANTS[name], iou_threshold)
        kept = [_suppressed(sample, nms, max_per_img) for sample in samples]
        found = _evaluate(cfg, meta, kept)
        boxes = sum(len(sample.pred_instances) for sample in kept) / len(kept)
        results.append(NMSResult(name, *(found[metric] for metric in _METRICS), boxes))
    return results


def comparison_table(results: Sequence[NMSResult]) -> Table:
    """Results to print.

    Args:
        results: As of :func:`compare_nms`.

    Returns:
        The table.
    """
    table = Table('NMS', 'AP', 'AP50', 'AP75', 'AR', 'boxes per image')
    for column in table.columns[1:]:
        column.justify = 'right'
    for row in results:
        metrics = (f'{value:.3f}' for value in (row.ap, row.ap50, row.ap75, row.ar))
        table.add_row(row.name, *metrics, f'{row.boxes:.1f}')
    return table


def _leave_out_nms(cfg: Config, name: str) -> None:
    """Let the detector return all boxes that its other thresholds leave."""
    evaluator = cfg.get('test_evaluator')
    if not isinstance(evaluator, dict) or evaluator.get('type') != 'CocoMetric':
        raise ValueError(f'the `test_evaluator` of {name} must be one CocoMetric.')
    evaluator.metric, evaluator.metric_items = 'bbox', ['mAP', 'mAP_50', 'mAP_75', 'AR@100']
    test_cfg = cfg.model.get('test_cfg') or {}
    test_cfg = test_cfg.get('rcnn', test_cfg)
    if 'nms' not in test_cfg:
        raise ValueError(f'{name} has no `nms` in its `model.test_cfg`: its detector needs none.')
    test_cfg.nms, test_cfg.max_per_img = None, 10**6


def _detect(
    cfg: Config, checkpoint: str, device: str | None
) -> tuple[list[DetDataSample], dict[str, Any]]:
    model, _ = load_model(cfg, checkpoint, usable_device(device))
    loader = Runner.build_dataloader(cfg.test_dataloader, seed=0)
    samples = []
    with torch.no_grad():
        for batch in track(loader, 'detection', console=Console(stderr=True)):
            samples += [sample.cpu() for sample in model.test_step(batch)]
    return samples, loader.dataset.metainfo


def _suppressed(sample: DetDataSample, nms: dict[str, Any], most: int) -> DetDataSample:
    found = sample.pred_instances
    boxes, index = batched_nms(found.bboxes.clone(), found.scores, found.labels, nms)
    instances = found[index][:most]
    instances.bboxes, instances.scores = boxes[:most, :4], boxes[:most, 4]
    after = sample.clone()
    after.pred_instances = instances
    return after


def _evaluate(
    cfg: Config, meta: dict[str, Any], samples: Sequence[DetDataSample]
) -> dict[str, float]:
    evaluator = Evaluator([cfg.test_evaluator])
    evaluator.dataset_meta = meta
    evaluator.process(samples)
    found = evaluator.evaluate(len(samples))
    return {name.removeprefix('coco/'): value for name, value in found.items()}
