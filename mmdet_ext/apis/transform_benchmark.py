"""How long each of our transforms takes, beside the nearest one of MMDetection or torchvision."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.runner import set_random_seed
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torchvision import tv_tensors
from torchvision.transforms import v2

from mmdet_ext.datasets.transforms import LoadParkingSlotAnnotations
from mmdet_ext.structures.marking_points import SHAPES
from mmdet_ext.utils.tables import table_of

_WARM_UPS = 6  # calls; a mosaic needs four pictures
_TORCHVISION = 'v2.'
_ROTATION = dict(degrees=15, interpolation=v2.InterpolationMode.BILINEAR)
_COLORS = dict(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)


@dataclass(frozen=True)
class Pair:
    """A transform of ours and what is nearest to it.

    Attributes:
        ours: Its config.
        nearest: A config; a ``type`` such as ``v2.ColorJitter`` is torchvision's, called on tensors of
            image and boxes that are ready.
        on_slots: Ours gets marking points and slots, not boxes.
        by_hand: torchvision's time includes the way from NumPy and back.
    """

    ours: Mapping[str, Any]
    nearest: Mapping[str, Any]
    on_slots: bool = False
    by_hand: bool = False


def pairs(size: int = 512) -> dict[str, Pair]:
    """What is measured, for square images.

    Args:
        size: Side of the image in pixels.

    Returns:
        Name of each row and its pair.
    """
    half, crop = size // 2, size * 3 // 4
    hole, unit = size // 8, size // 4
    part = dict(n_patches=1, ratio=(0.3, 0.6), squared=False)
    return {
        'DetCenterCrop': Pair(
            dict(type='DetCenterCrop', crop_size=crop),
            dict(type='RandomCrop', crop_size=(crop, crop), allow_negative_crop=True),
        ),
        'DetRandomResizedCrop': Pair(
            dict(type='DetRandomResizedCrop', size=half),
            dict(type='v2.RandomResizedCrop', size=half, antialias=True),
        ),
        'DetRandomErasing, plain': Pair(
            dict(type='DetRandomErasing', prob=1.0, area=(0.09, 0.36), fill=128),
            dict(type='RandomErasing', **part),
        ),
        'DetRandomErasing, noise': Pair(
            dict(type='DetRandomErasing', prob=1.0, area=(0.09, 0.36)),
            dict(type='v2.RandomErasing', p=1.0, scale=(0.09, 0.36), value='random'),
        ),
        'DetCutOut': Pair(
            dict(type='DetCutOut', holes=3, size=hole),
            dict(type='CutOut', n_holes=3, cutout_shape=(hole, hole)),
        ),
        'DetGridMask': Pair(
            dict(type='DetGridMask', prob=1.0, unit=(unit, unit)),
            dict(type='CutOut', n_holes=20, cutout_shape=(unit * 2 // 5, unit * 2 // 5)),
        ),
        'SmallObjectCopyPaste': Pair(
            dict(type='SmallObjectCopyPaste', prob=1.0),
            dict(type='CopyPaste', paste_by_box=True),
        ),
        'DetColorJitter': Pair(
            dict(type='DetColorJitter', **_COLORS), dict(type='v2.ColorJitter', **_COLORS)
        ),
        'rotation by name': Pair(
            dict(type='TorchvisionTransform', name='RandomRotation', **_ROTATION),
            dict(type='v2.RandomRotation', **_ROTATION),
            by_hand=True,
        ),
        'flip by name': Pair(
            dict(type='TorchvisionTransform', name='RandomHorizontalFlip', p=1.0),
            dict(type='v2.RandomHorizontalFlip', p=1.0),
            by_hand=True,
        ),
        'ParkingSlotAffine': Pair(
            dict(type='ParkingSlotAffine', size=(size, size), rotation=(-10, 10), scale=(0.5, 1.5)),
            dict(type='RandomAffine'),
            on_slots=True,
        ),
        'ParkingSlotMosaic': Pair(
            dict(type='ParkingSlotMosaic', img_scale=(size, size)),
            dict(type='CachedMosaic', img_scale=(size, size)),
            on_slots=True,
        ),
        'ParkingSlotMixUp': Pair(
            dict(type='ParkingSlotMixUp'),
            dict(type='CachedMixUp', img_scale=(size, size), ratio_range=(1.0, 1.0)),
            on_slots=True,
        ),
        'LocalContrast': Pair(
            dict(type='LocalContrast'), dict(type='Equalize', prob=1.0), on_slots=True
        ),
    }


@dataclass
class TransformTiming:
    """What a transform and its nearest took.

    Attributes:
        name: Row.
        milliseconds: Ours, median over the rounds.
        nearest: Type of the nearest.
        nearest_milliseconds: Its median.
        ratio: Median of ours over the nearest, round by round.
    """

    name: str
    milliseconds: float
    nearest: str
    nearest_milliseconds: float
    ratio: float


def sample_boxes(size: int = 512, count: int = 20) -> dict[str, Any]:
    """Make results with boxes, half of them small, on an image of smooth noise.

    Args:
        size: Side of the image in pixels.
        count: Number of boxes.

    Returns:
        Pipeline results.
    """
    rng = np.random.default_rng(0)
    low = rng.uniform(0, size * 0.6, (count, 2))
    sides = np.where(np.arange(count)[:, None] % 2, 24, size * 0.3) * rng.uniform(
        0.8, 1.2, (count, 2)
    )
    return {
        'img': _smooth_noise(size),
        'img_shape': (size, size),
        'gt_bboxes': HorizontalBoxes(np.concatenate([low, low + sides], 1).astype(np.float32)),
        'gt_bboxes_labels': np.zeros(count, np.int64),
        'gt_ignore_flags': np.zeros(count, bool),
    }


def sample_slots(size: int = 512, count: int = 10) -> dict[str, Any]:
    """Make results with two rows of slots on an image of smooth noise.

    Args:
        size: Side of the image in pixels.
        count: Slots in each row.

    Returns:
        Pipeline results.
    """
    x = np.linspace(0.05, 0.95, count + 1) * size
    points = np.concatenate([np.stack([x, np.full_like(x, y * size)], 1) for y in (0.35, 0.9)])
    left = np.concatenate([np.arange(count), np.arange(count) + count + 1])
    links = np.stack([left, left + 1], 1)
    depth = np.array([0, -0.3 * size])
    p1, p2 = points[links[:, 0]], points[links[:, 1]]
    record = {
        'points': points,
        'directions': np.tile([0.0, -1.0], (len(points), 1)),
        'shapes': np.full(len(points), SHAPES.index('T')),
        'corners': np.stack([p1, p2, p2 + depth, p1 + depth], 1),
        'slot_types': np.zeros(2 * count, np.int64),
        'occupied': np.zeros(2 * count, np.int64),
        'slot_points': links,
    }
    results = {'img': _smooth_noise(size), 'img_shape': (size, size), 'parking': record}
    return LoadParkingSlotAnnotations()(results)


def _smooth_noise(size: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return cv2.normalize(cv2.blur(noise, (9, 9)), None, 0, 255, cv2.NORM_MINMAX)


def benchmark_transforms(
    chosen: Mapping[str, Pair], size: int = 512, rounds: int = 60
) -> list[TransformTiming]:
    """Time each transform and its nearest in turn, so that a busy moment hits both.

    Args:
        chosen: As of :func:`pairs`.
        size: Side of the image in pixels.
        rounds: Timed calls of each, after six that are not.

    Returns:
        One row per pair.
    """
    rows = []
    for name, pair in track(chosen.items(), 'transforms', console=Console(stderr=True)):
        set_random_seed(0)
        calls = (_ours(pair, size), _nearest(pair, size))
        times = np.array(
            [[_milliseconds(call) for call in calls] for _ in range(_WARM_UPS + rounds)]
        )
        ours, nearest = times[_WARM_UPS:].T
        rows.append(
            TransformTiming(
                name,
                statistics.median(ours),
                pair.nearest['type'],
                statistics.median(nearest),
                statistics.median(ours / nearest),
            )
        )
    return rows


def _milliseconds(prepare: Callable[[], Callable[[], Any]]) -> float:
    """Time of one call, without that of its preparation."""
    call = prepare()
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def _ours(pair: Pair, size: int) -> Callable:
    transform = TRANSFORMS.build(dict(pair.ours))
    sample = sample_slots(size) if pair.on_slots else sample_boxes(size)
    return lambda: _bound(transform, _fresh(sample))


def _nearest(pair: Pair, size: int) -> Callable:
    sample, cfg = sample_boxes(size), dict(pair.nearest)
    if cfg['type'].startswith(_TORCHVISION):
        operation = getattr(v2, cfg.pop('type').removeprefix(_TORCHVISION))(**cfg)
        if pair.by_hand:
            return lambda: lambda: _by_hand(operation, sample)
        return lambda: _bound(operation, _tensors(sample))
    transform = TRANSFORMS.build(cfg)
    if hasattr(transform, 'get_indexes') and not hasattr(transform, 'results_cache'):
        return lambda: _bound(transform, _fresh(sample) | {'mix_results': [_fresh(sample)]})
    return lambda: _bound(transform, _fresh(sample))


def _bound(call: Callable, argument: Any) -> Callable[[], Any]:
    return lambda: call(argument)


def _fresh(sample: dict) -> dict:
    """A copy of results in which an image and boxes can be changed in place."""
    copy = dict(sample, img=sample['img'].copy())
    if 'gt_bboxes' in copy:
        copy['gt_bboxes'] = copy['gt_bboxes'].clone()
    return copy


def _tensors(sample: dict) -> dict:
    image = torch.from_numpy(np.ascontiguousarray(sample['img'][..., ::-1].transpose(2, 0, 1)))
    boxes = tv_tensors.BoundingBoxes(
        sample['gt_bboxes'].tensor, format='XYXY', canvas_size=sample['img_shape']
    )
    return {'image': tv_tensors.Image(image), 'boxes': boxes}


def _by_hand(operation: v2.Transform, sample: dict) -> np.ndarray:
    out = operation(_tensors(sample))
    return np.ascontiguousarray(out['image'].permute(1, 2, 0).numpy()[..., ::-1])


def timing_table(timings: Sequence[TransformTiming], markdown: bool = False) -> Table:
    """Timings as a table to print.

    Args:
        timings: As of :func:`benchmark_transforms`.
        markdown: As Markdown.

    Returns:
        The table.
    """
    name, nearest = ('transform', 'left'), ('nearest', 'left')
    table = table_of([name, ('ms', 'right'), nearest, ('ms', 'right'), ('x', 'right')], markdown)
    for row in timings:
        numbers = f'{row.milliseconds:.2f}', f'{row.nearest_milliseconds:.2f}', f'{row.ratio:.2f}'
        table.add_row(row.name, numbers[0], row.nearest, *numbers[1:])
    return table


def as_dicts(timings: Sequence[TransformTiming]) -> list[dict[str, Any]]:
    """Return the rows for a JSON file."""
    return [asdict(row) for row in timings]
