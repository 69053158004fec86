"""A config made so small that it trains two iterations on a few tiny images in a second."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from mmdet_ext.utils.configs import config_path

from .tiny_dataset import BATCH_SIZE, CLASSES, IMAGES

_COCO_CLASSES = 80
_MOST_BOXES = {'nms_pre': 200, 'max_per_img': 50, 'num': 32}  # num: of a sampler
_LARGEST = 512  # pixels up to which image sizes stay as they are
_SMALL = 320  # what a larger one becomes
_SIZES = ('scale', 'scales', 'size', 'img_scale', 'crop_size', 'border', 'random_size_range')
# Parts of the default runtime that take time, or signals, and that a recipe is not about.
_COSTLY = {
    'InterruptHook',
    'SafeCheckpointHook',
    'CheckpointHook',
    'ProgressBarHook',
    'TrainingCurvesHook',
    'TensorboardChartsHook',
    'TensorboardPRCurveHook',
    'TensorboardGraphHook',
    'ParkingSlotVisualizationHook',
}


def shrink(cfg: Config, data: Path) -> None:
    """Let a config train for an epoch of two iterations and validate once.

    Args:
        cfg: The config; changed.
        data: Folder of :func:`~mmdet_ext.apis.recipes.tiny_dataset.write_tiny_dataset`.
    """
    cfg.pop('synthetic_data', None)
    _drop_costly_parts(cfg)
    _shorten(cfg)
    for name in ('train', 'val', 'test'):
        loader = cfg.get(f'{name}_dataloader')
        if loader:
            _shrink_loader(loader, data, 'train.json' if name == 'train' else 'val.json')
        evaluators = cfg.get(f'{name}_evaluator') or []
        for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
            if 'ann_file' in evaluator:
                evaluator.ann_file = str(data / 'val.json')
    _shrink_images(cfg)
    for node in _dicts(cfg.get('model')):
        _forget_pretrained(node)
        if node.get('num_classes') == _COCO_CLASSES:
            node.num_classes = len(CLASSES)
        for name, most in _MOST_BOXES.items():
            if isinstance(node.get(name), int):
                node[name] = min(node[name], most)


def _drop_costly_parts(cfg: Config) -> None:
    base = Config.fromfile(config_path('_base_/default_runtime.py'))
    stock = Config.fromstring("_base_ = 'mmdet::_base_/default_runtime.py'", '.py')
    costly = [hook for hook in base.custom_hooks if hook.type in _COSTLY]
    cfg.custom_hooks = [hook for hook in cfg.get('custom_hooks') or [] if hook not in costly]
    for name, hook in list((cfg.get('default_hooks') or {}).items()):
        known = [_kind(each.default_hooks.get(name)) for each in (base, stock)]
        if hook and hook.type in _COSTLY and _kind(hook) in known:
            del cfg.default_hooks[name]
            if name == 'checkpoint':  # which mmengine adds unless told not to
                cfg.default_hooks[name] = None
    if cfg.get('visualizer') == base.visualizer:
        cfg.visualizer.vis_backends = [dict(type='LocalVisBackend')]


def _kind(hook: Mapping | None) -> dict:
    """A hook without what differs between data sets."""
    return {key: value for key, value in (hook or {}).items() if key not in ('save_best', 'rule')}


def _shorten(cfg: Config) -> None:
    loop = cfg.train_cfg
    by_epoch = loop.get('by_epoch', 'max_iters' not in loop)
    length = 1 if by_epoch else IMAGES // BATCH_SIZE
    loop['max_epochs' if by_epoch else 'max_iters'] = loop.val_interval = length
    for name in ('dynamic_intervals', 'val_begin'):
        loop.pop(name, None)


def _shrink_loader(loader: ConfigDict, data: Path, ann_file: str) -> None:
    loader.batch_size = BATCH_SIZE
    loader.update(num_workers=0, persistent_workers=False)
    for name in ('prefetch_factor', 'multiprocessing_context', 'timeout'):
        loader.pop(name, None)
    for dataset in _dicts(loader.dataset):
        if dataset.get('type') == 'RepeatDataset':
            dataset.times = 1
        if 'ann_file' in dataset:
            dataset.data_root = str(data)
            if not dataset.ann_file.endswith('.txt'):  # else Pascal VOC
                dataset.update(ann_file=ann_file, data_prefix=dict(img=''))
            _choose_classes(dataset)


def _choose_classes(dataset: ConfigDict) -> None:
    metainfo = dataset.get('metainfo') or {}
    own = metainfo.get('classes') or ()
    dataset.metainfo = dict(metainfo, classes=own if {*own} <= {*CLASSES} and own else CLASSES)


def _shrink_images(cfg: Config) -> None:
    parts = [cfg.get(f'{name}_dataloader') for name in ('train', 'val', 'test')]
    parts.append(cfg.get('model', {}).get('data_preprocessor'))
    nodes = [node for part in parts for node in _dicts(part)]
    nodes = list({id(node): node for node in nodes}.values())
    sizes = [(node, name) for node in nodes for name in _SIZES if name in node]
    largest = max((_largest(node[name]) for node, name in sizes), default=0)
    if largest > _LARGEST:
        for node, name in sizes:
            node[name] = _scaled(node[name], _SMALL / largest)


def _largest(size: Any) -> float:
    if isinstance(size, list | tuple):
        return max(map(_largest, size), default=0)
    return abs(size) if isinstance(size, int) else 0


def _scaled(size: Any, factor: float) -> Any:
    """Sizes in pixels as multiples of 32; ratios stay."""
    if isinstance(size, list | tuple):
        return type(size)(_scaled(each, factor) for each in size)
    if not isinstance(size, int) or abs(size) < 32:
        return size
    return int(math.copysign(max(round(abs(size) * factor / 32), 1) * 32, size))


def _forget_pretrained(node: ConfigDict) -> None:
    """Start from random weights where a file would have to be downloaded."""
    init = node.get('init_cfg')
    if isinstance(init, dict) and '://' in str(init.get('checkpoint')):
        node.init_cfg = None


def _dicts(node: Any) -> Iterator[ConfigDict]:
    if isinstance(node, dict):
        yield node
    children = node.values() if isinstance(node, dict) else node
    for child in children if isinstance(node, dict | list | tuple) else ():
        yield from _dicts(child)
