"""How long each NMS takes beside torchvision's, on the same boxes in the same run."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torchvision.ops import batched_nms as torchvision_nms

from mmdet_ext.models.layers.nms import batched_nms, check_nms_cfg
from mmdet_ext.utils.tables import table_of

VARIANTS: dict[str, dict[str, Any]] = {
    'nms': dict(type='nms'),
    'soft_nms': dict(type='soft_nms'),
    'diou_nms': dict(type='diou_nms'),
    'softer_nms': dict(type='softer_nms', variance=1.0),
    'adaptive_nms': dict(type='adaptive_nms'),
    'weighted_nms': dict(type='weighted_nms'),
    'matrix_nms': dict(type='matrix_nms'),
    'matrix_nms, linear': dict(type='matrix_nms', kernel='linear'),
    'cluster_nms': dict(type='cluster_nms'),
    'cluster_nms, penalty': dict(type='cluster_nms', score_penalty=True),
    'cluster_nms, distance': dict(type='cluster_nms', beta=0.9),
    'cluster_nms, weighted': dict(type='cluster_nms', weighted=True),
}
"""What is measured: a name and the ``nms`` of a test_cfg, without the threshold."""

_WIDTH, _HEIGHT = 1333, 800
_CLUTTER = 0.2
_WARM_UPS = 2


@dataclass
class Timing:
    """What one NMS took.

    Attributes:
        name: The NMS; torchvision's is ``torchvision``.
        milliseconds: Median over the rounds.
        ratio: To that of torchvision.
        kept: Boxes that it returns.
    """

    name: str
    milliseconds: float
    ratio: float
    kept: int


def crowded_boxes(
    boxes: int = 5000, classes: int = 20, objects: int = 500, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes as a dense head gives them before NMS.

    Objects of 20 to 240 px, of random classes, lie on an image of 1333 x 800 px. Four fifths of the
    boxes are detections of an object of their class, with corners off by some 8 % of its size; the
    less, the higher their scores on average. The rest is clutter with scores below 0.3. As of real heads,
    most scores are low: half of them are below 0.1.

    Args:
        boxes: Their number.
        classes: Number of classes.
        objects: Number of objects.
        seed: Of the random numbers.

    Returns:
        Boxes ``(N, 4)``, scores ``(N,)`` and labels ``(N,)``, in random order.
    """
    generator = torch.Generator().manual_seed(seed)
    clutter = round(boxes * _CLUTTER)
    size = 20 * 12 ** torch.rand(objects + clutter, 2, generator=generator)
    corner = torch.rand(objects + clutter, 2, generator=generator) * torch.tensor([_WIDTH, _HEIGHT])
    places = torch.cat([corner, corner + size], 1)
    kinds = torch.randint(classes, (objects + clutter,), generator=generator)
    which = torch.randint(objects, (boxes - clutter,), generator=generator)
    which = torch.cat([which, torch.arange(objects, objects + clutter)])
    offsets = torch.randn(boxes, 4, generator=generator) * 0.08
    found = places[which] + offsets * size[which].repeat(1, 2)
    luck = torch.rand(boxes, generator=generator)
    scores = luck.square() * torch.exp(-offsets.abs().mean(1) / 0.08)
    scores[boxes - clutter :] = luck[boxes - clutter :] ** 2 * 0.3
    order = torch.randperm(boxes, generator=generator)
    return found[order], scores[order], kinds[which][order]


def benchmark_nms(
    inputs: tuple[Tensor, Tensor, Tensor],
    variants: Mapping[str, Mapping[str, Any]] = VARIANTS,
    iou_threshold: float = 0.5,
    rounds: int = 15,
) -> list[Timing]:
    """Time each NMS, one after the other in each round, so that a busy moment hits all.

    Args:
        inputs: Boxes, scores and labels, on the device to measure on.
        variants: Name and ``nms`` of a test_cfg; those that have an ``iou_threshold`` and do not give it
            get the one below.
        iou_threshold: For torchvision's and those.
        rounds: Timed calls of each, after two that are not.

    Returns:
        torchvision's, then the variants', in their order.

    Raises:
        ValueError: A variant or one of its options is unknown.
    """
    boxes, scores, labels = inputs
    calls: dict[str, Callable[[], int]] = {
        'torchvision': lambda: len(torchvision_nms(boxes, scores, labels, iou_threshold))
    }
    for name, cfg in variants.items():
        full = with_threshold(cfg, iou_threshold)
        calls[name] = lambda full=full: len(batched_nms(boxes, scores, labels, full)[1])
    durations: dict[str, list[float]] = {name: [] for name in calls}
    kept = {}
    for number in track(range(_WARM_UPS + rounds), 'rounds', console=Console(stderr=True)):
        for name, call in calls.items():
            start = _now(boxes.device)
            kept[name] = call()
            if number >= _WARM_UPS:
                durations[name].append(_now(boxes.device) - start)
    medians = {name: 1e3 * statistics.median(values) for name, values in durations.items()}
    return [
        Timing(name, median, median / medians['torchvision'], kept[name])
        for name, median in medians.items()
    ]


def with_threshold(cfg: Mapping[str, Any], iou_threshold: float) -> dict[str, Any]:
    """Add a threshold to the ``nms`` of a test_cfg unless it has one or its type takes none.

    Raises:
        ValueError: The type or an option is unknown.
    """
    check_nms_cfg(cfg)
    if cfg.get('type') == 'matrix_nms':
        return dict(cfg)
    return dict(iou_threshold=iou_threshold) | dict(cfg)


def timing_table(timings: Sequence[Timing], markdown: bool = False) -> Table:
    """Timings as a table to print.

    Args:
        timings: As of :func:`benchmark_nms`.
        markdown: As Markdown.

    Returns:
        The table.
    """
    headings = ('NMS', 'left'), ('ms', 'right'), ('x', 'right'), ('kept', 'right')
    table = table_of(headings, markdown)
    for row in timings:
        table.add_row(row.name, f'{row.milliseconds:.2f}', f'{row.ratio:.1f}', f'{row.kept:,}')
    return table


def as_dicts(timings: Sequence[Timing]) -> list[dict[str, Any]]:
    """Return the rows for a JSON file."""
    return [asdict(row) for row in timings]


def _now(device: torch.device) -> float:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter()
