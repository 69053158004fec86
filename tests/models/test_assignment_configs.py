"""configs/ext/assignment: each trains on the same data with the same detector, but for its way of assignment."""

import copy
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.config import Config
from tiny_runs import train_and_test

from mmdet_ext.apis import load_config
from mmdet_ext.models.dense_heads.iqdet_head import IQDetHead
from mmdet_ext.models.task_modules.assigners import OTAAssigner

FOLDER = Path(__file__).parents[2] / 'configs/ext/assignment'
ASSIGNERS = dict(
    max_iou='MaxIoUAssigner',
    atss='ATSSAssigner',
    sim_ota='SimOTAAssigner',
    ota='OTAAssigner',
    task_aligned='TaskAlignedAssigner',
)
HEADS = dict(
    centre_region='FCOSHead',
    free_anchor='FreeAnchorRetinaHead',
    paa='PAAHead',
    auto_assign='AutoAssignHead',
    iqdet='IQDetHead',
)


@cache
def read_once(name):
    return Config.fromfile(FOLDER / f'{name}.py')


def read(name):
    return copy.deepcopy(read_once(name))


def test_configs_mean_our_classes():
    assert TASK_UTILS.get('OTAAssigner') is OTAAssigner
    assert MODELS.get('IQDetHead') is IQDetHead


def test_there_is_a_config_for_each_way():
    assert {path.stem for path in FOLDER.glob('*.py')} == {'base', *ASSIGNERS, *HEADS}


@pytest.mark.parametrize('name', ASSIGNERS)
def test_child_changes_the_assigner_alone(name):
    cfg, base = read(name), read('base')
    own = cfg.model.train_cfg.pop('assigner')
    base.model.train_cfg.pop('assigner')
    assert (own.get('assigner') or own).type == ASSIGNERS[name]
    for key in set(base) - {'assigner'}:
        assert cfg[key] == base[key]


@pytest.mark.parametrize('name', HEADS)
def test_child_with_a_head_of_its_own_changes_the_head_alone(name):
    cfg, base = read(name), read('base')
    assert cfg.model.bbox_head.type == HEADS[name]
    for key in ('num_classes', 'in_channels', 'feat_channels', 'stacked_convs', 'norm_cfg'):
        assert cfg.model.bbox_head[key] == base.model.bbox_head[key]
    for key in ('bbox_head', 'train_cfg'):
        cfg.model.pop(key), base.model.pop(key)
    for key in set(base) - ({'optim_wrapper'} if name == 'auto_assign' else set()):
        assert cfg[key] == base[key]


@pytest.mark.parametrize('name', [*ASSIGNERS, *HEADS])
def test_config_trains_two_iterations_and_is_tested(name, tmp_path):
    cfg = read(name)
    cfg.model.test_cfg.score_thr = 0
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        for step in loader.dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (128, 128)
    runner, before, metrics = train_and_test(cfg, tmp_path)
    assert runner.iter == 2
    assert metrics['coco/bbox_mAP'] >= 0
    after = dict(runner.model.named_parameters())
    assert all(each.isfinite().all() for each in after.values())
    head = [key for key in after if key.startswith('bbox_head')]
    assert sum(not torch.equal(before[key], after[key]) for key in head) > len(head) / 2


def test_paa_without_scikit_learn_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn', None)
    with pytest.raises(ValueError, match=r"needs scikit-learn: pip install 'mmdet_ext\[data\]'"):
        load_config(str(FOLDER / 'paa.py'))
