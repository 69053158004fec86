"""Runs of two iterations on images of bright rectangles, through MMEngine's Runner."""

import json
from unittest import mock

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import Tensor, nn

CLASSES = ('perpendicular', 'parallel', 'slanted')


def write_boxes(folder, images=2, size=128):
    """COCO files train.json and val.json of the same images, three boxes on each."""
    rng = np.random.default_rng(0)
    content = {
        'images': [],
        'annotations': [],
        'categories': [{'id': i, 'name': name} for i, name in enumerate(CLASSES, 1)],
    }
    for image in range(images):
        picture = np.full((size, size, 3), 50, np.uint8)
        for box in range(3):
            (x, y), (width, height) = rng.integers(0, size // 2, 2), rng.integers(40, size // 2, 2)
            picture[y : y + height, x : x + width] = 80 * (box + 1)
            content['annotations'].append(
                {
                    'id': len(content['annotations']) + 1,
                    'image_id': image,
                    'category_id': box + 1,
                    'bbox': [int(x), int(y), int(width), int(height)],
                    'area': int(width * height),
                    'iscrowd': 0,
                }
            )
        entry = {'id': image, 'file_name': f'{image}.png', 'width': size, 'height': size}
        content['images'].append(entry)
        cv2.imwrite(str(folder / f'{image}.png'), picture)
    for name in ('train', 'val'):
        (folder / f'{name}.json').write_text(json.dumps(content))


def train_and_test(cfg: Config, folder) -> tuple[Runner, dict[str, Tensor], dict[str, float]]:
    """Train one epoch on the images, validate and test; the runner, first weights and metrics."""
    for kind in (MMLogger, MessageHub, Visualizer, DefaultScope):
        kind._instance_dict.clear()
    write_boxes(folder)
    shorten(cfg, folder)
    # Printing the config and the environment would take longer than all the rest.
    with mock.patch.object(Config, 'pretty_text', ''), mock.patch.object(Runner, '_log_env'):
        runner = Runner.from_cfg(cfg)
        before = {name: p.detach().clone() for name, p in runner.model.named_parameters()}
        runner.train()
        return runner, before, runner.test()


def shorten(cfg: Config, folder) -> None:
    """Let a config run one epoch on the images in a folder, without hooks and logs."""
    data = dict(data_root=str(folder), data_prefix=dict(img=''), metainfo=dict(classes=CLASSES))
    for name in ('train', 'val', 'test'):
        loader = cfg[f'{name}_dataloader']
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
        dataset = loader.dataset
        if dataset.type == 'RepeatDataset':
            dataset.times, dataset = 1, dataset.dataset
        ann_file = 'train.json' if name == 'train' else 'val.json'
        dataset.update(data | dict(ann_file=ann_file, serialize_data=False))
    cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = str(folder / 'val.json')
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.work_dir = str(folder / 'work')
    cfg.log_level = 'ERROR'
    cfg.visualizer = cfg.custom_imports = None
    cfg.custom_hooks, cfg.default_hooks = [], dict(logger=None, checkpoint=None)


def parts_that_learnt(model: nn.Module, before: dict[str, Tensor]) -> set[str]:
    """Names of the parts of a detector with a weight that is not as it was."""
    changed = (name for name, p in model.named_parameters() if not torch.equal(p, before[name]))
    return {name.partition('.')[0] for name in changed}
