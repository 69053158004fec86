"""Training of the default model on sixteen small scenes."""

from pathlib import Path

import pytest

from mmdet_ext.datasets.surround_view.dataset import make_dataset

CONFIG = str(Path(__file__).parents[2] / 'configs/ext/psd_yolo.py')


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    """A folder of scenes, 64 pixels wide."""
    root = tmp_path_factory.mktemp('scenes')
    make_dataset(root, splits={'train': 16, 'val': 2}, size=64, seed=3, num_workers=1)
    return root


def overrides(scenes, batch_size, epochs):
    """Options of the default config: small images, all its augmentation, no validation."""
    return {
        'synthetic_data': None,
        'train_dataloader.dataset.data_root': str(scenes),
        'train_dataloader.dataset.pipeline.2.size': (64, 64),
        'train_dataloader.batch_size': batch_size,
        'train_cfg.max_epochs': epochs,
        'val_cfg': None,
        'val_dataloader': None,
        'val_evaluator': None,
        'default_hooks.checkpoint.save_best': None,
        'check_before_training': False,
    }
