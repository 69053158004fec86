"""Every config builds, and says what its first lines promise."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

CONFIGS = Path(__file__).parents[1] / 'configs'


def affine_sizes(steps):
    """Output sizes of all affine transforms in a pipeline, those inside other transforms included."""
    if isinstance(steps, dict):
        inner = affine_sizes(list(steps.values()))
        own = {tuple(steps['size'])} if steps.get('type') == 'ParkingSlotAffine' else set()
        return own | inner
    if isinstance(steps, list | tuple):
        return set().union(*map(affine_sizes, steps))
    return set()


@pytest.mark.parametrize('path', sorted((CONFIGS / 'ext').glob('psd_*.py')), ids=lambda p: p.stem)
def test_the_model_of_a_config_maps_its_image_size_to_dense_maps(path):
    cfg = Config.fromfile(path)
    init_default_scope('mmdet')
    width, height = cfg.image_size
    loaders = cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader
    for steps in (*(loader.dataset for loader in loaders), cfg.tta_pipeline):
        assert affine_sizes(steps) == {(width, height)}
    model = MODELS.build(cfg.model).eval()
    points, slots = model(torch.zeros(1, 3, height, width), mode='tensor')
    stride = cfg.model.get('detector', cfg.model).bbox_head.point_stride
    assert points.shape == (1, 10, height // stride, width // stride)
    assert slots.shape[1] == 9 + len(cfg.classes)


def test_one_import_wires_everything():
    cfg = Config.fromfile(CONFIGS / '_base_/default_runtime.py')
    assert cfg.custom_imports['imports'] == ['mmdet_ext']
    assert cfg.default_scope == 'mmdet'
