"""What can be looked at: a config's datasets, or an annotation file by itself."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdet.registry import DATASETS
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed

from mmdet_ext.apis.run import load_config, prepare_data
from mmdet_ext.datasets.formats.parking_slot_coco import KEYPOINTS
from mmdet_ext.datasets.tracing import nested_transforms, pipeline_of, trace
from mmdet_ext.utils.errors import explained_config_errors
from mmdet_ext.utils.files import parse_json

SPLITS = ('train', 'val', 'test')
_WARM_UP = 8  # images; a mosaic from a cache needs four others


@dataclass
class Source:
    """A dataset to look at.

    Attributes:
        dataset: With ``get_data_info`` and ``metainfo``, as mmengine's.
        title: What it is, for people.
        stem: The same for file names.
        pipeline: Transforms to apply instead of the dataset's own.
    """

    dataset: Any
    title: str
    stem: str
    pipeline: list[Callable] | None = None

    def steps_of(self, index: int) -> list[Callable]:
        """Transforms that an image goes through."""
        return self.pipeline or pipeline_of(self.dataset, index)


def open_source(
    source: str,
    images: str | None = None,
    split: str = 'train',
    pipeline: str | None = None,
    cfg_options: Mapping | None = None,
) -> Source:
    """Open a config's dataset or an annotation file.

    Args:
        source: A config file, or a ``.json`` file in COCO or parking-slot COCO.
        images: Folder of the images of an annotation file; by default its own folder.
        split: ``train``, ``val`` or ``test`` of a config.
        pipeline: Key of the config with the transforms to apply instead of the dataset's own.
        cfg_options: Values that override the config's.

    Returns:
        The dataset.

    Raises:
        FileNotFoundError: The source or the first image is missing.
        ValueError: The file is not valid, or the config lacks what is asked for.
    """
    if Path(source).suffix == '.json':
        return _annotation_file(Path(source), images)
    if images is not None:
        raise ValueError(
            f'images is {images}, but {source} is a config, whose datasets know their folders: leave '
            'it out.'
        )
    cfg = load_config(source, cfg_options)
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        found = [each for each in SPLITS if cfg.get(f'{each}_dataloader')]
        raise ValueError(f'{source} has no `{split}_dataloader`: choose a split from {found}.')
    if pipeline and pipeline not in cfg:
        found = sorted(key for key in cfg if key.endswith('pipeline'))
        raise ValueError(f'{source} has no `{pipeline}`: choose a pipeline from {found}.')
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    prepare_data(cfg)
    with explained_config_errors(cfg):
        dataset = DATASETS.build(copy.deepcopy(loader.dataset))
        steps = Compose(copy.deepcopy(cfg[pipeline])).transforms if pipeline else None
    title = f'{Path(source).name}, {split}' + (f', {pipeline}' if pipeline else '')
    return Source(dataset, title, f'{Path(source).stem}_{split}', steps)


def require_pipeline(opened: Source) -> None:
    """Check that there is something to run.

    Args:
        opened: The dataset.

    Raises:
        ValueError: It has no transforms.
    """
    if not opened.steps_of(0):
        raise ValueError(
            f'{opened.title} has no transforms to show: name a config whose dataset has a pipeline.'
        )


def fill_caches(opened: Source, seed: int) -> None:
    """Give transforms that mix in earlier images (``CachedMosaic``) some, as they have in training.

    Args:
        opened: The dataset.
        seed: Seed of what is drawn at random.
    """
    if not any(hasattr(each, 'results_cache') for each in nested_transforms(opened.steps_of(0))):
        return
    set_random_seed(seed)
    for i in range(min(_WARM_UP, len(opened.dataset))):
        for _ in trace(opened.steps_of(i), opened.dataset.get_data_info(i)):
            pass  # what fails here will be seen to fail again


def _annotation_file(path: Path, images: str | None) -> Source:
    content = _read(path)
    categories, listed = content['categories'], content['images']
    folder = Path(images) if images else path.parent
    first = folder / listed[0]['file_name']
    if not first.is_file():
        raise FileNotFoundError(
            f'{path}: its first image is not at {first}: name the folder of the images with --images.'
        )
    keypoints = [category.get('keypoints') for category in categories]
    parking = 'marking_points' in content or list(KEYPOINTS) in keypoints
    dataset = DATASETS.build(
        dict(
            type='ParkingSlotDataset' if parking else 'CocoDataset',
            ann_file=str(path.absolute()),
            data_prefix=dict(img=str(folder.absolute())),
            metainfo=dict(classes=tuple(category['name'] for category in categories)),
            pipeline=[],
            test_mode=True,
        )
    )
    return Source(dataset, path.name, path.stem)


def _read(path: Path) -> dict:
    if not path.is_file():
        raise FileNotFoundError(f'the annotation file {path} does not exist: correct the path.')
    try:
        content = parse_json(path)
    except ValueError as error:
        raise ValueError(f'{path} is not valid JSON ({error}): write the file again.') from error
    found = sorted(content) if isinstance(content, dict) else type(content).__name__
    if not isinstance(content, dict) or not {'images', 'categories', 'annotations'} <= set(content):
        raise ValueError(
            f'{path} has {found}; expected COCO with images, categories and annotations: convert it '
            'with tools/dataset/convert.py.'
        )
    if not content['images']:
        raise ValueError(f'{path} lists no image: there is nothing to look at.')
    return content
