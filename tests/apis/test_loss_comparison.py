"""The loss comparison: equal budgets, one slot changed, nothing trained twice, an honest table."""

import functools
import io
import json
from copy import deepcopy

import pytest
from rich.console import Console

from mmdet_ext.apis import equal_trainings, loss_comparison
from mmdet_ext.apis.loss_comparison import LossResult, compare_losses, comparison_table
from mmdet_ext.apis.run import load_config

FOUND = {'coco/bbox_mAP': 0.5, 'coco/bbox_mAP_50': 0.8, 'coco/bbox_AR@100': 0.6}
METRICS = {'AP': [0.5], 'AP50': [0.8], 'AR': [0.6]}


@functools.cache
def config_file(path):
    return load_config(path)


def configured(path, options=None):
    """load_config, but each file is read once."""
    cfg = deepcopy(config_file(path))
    cfg.merge_from_dict(dict(options or {}))
    return cfg


@pytest.fixture
def trainings(monkeypatch):
    """Stands in for training: the configs that are trained, by their folders."""
    configs = {}

    def train(config, work_dir, resume, cfg_options):
        assert resume == 'auto'
        configs[work_dir.rpartition('/')[2]] = configured(config, cfg_options).to_dict()

    def evaluate(config, checkpoint, work_dir, cfg_options):
        cfg = configured(config, cfg_options).to_dict()
        trained = configs[work_dir.rpartition('/')[2]]
        assert cfg['model'] == trained['model']
        assert cfg['test_evaluator'].pop('metric_items') == ['mAP', 'mAP_50', 'AR@100']
        return FOUND

    monkeypatch.setattr(loss_comparison, 'load_config', configured)
    monkeypatch.setattr(equal_trainings, 'train', train)
    monkeypatch.setattr(equal_trainings, 'evaluate', evaluate)
    monkeypatch.setattr(equal_trainings, 'find_latest_checkpoint', lambda folder: 'last.pth')
    return configs


def printed(results):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(comparison_table(results))
    return console.export_text()


def test_box_losses_are_trained_with_the_same_budget_and_differ_in_the_slot_alone(
    trainings, tmp_path
):
    compare_losses(tmp_path, variants=['L1', 'CIoU', 'EIoULoss'], seeds=[3, 4], epochs=5, images=40)
    heads = {name: cfg['model']['bbox_head'] for name, cfg in trainings.items()}
    losses = {n: (h.pop('loss_bbox'), h.pop('reg_decoded_bbox')) for n, h in heads.items()}
    assert losses['loss_bbox_L1_seed3'] == (dict(type='L1Loss', loss_weight=1.0), False)
    assert losses['loss_bbox_CIoU_seed3'] == (
        dict(type='TorchvisionCIoULoss', loss_weight=2.0),
        True,
    )
    assert losses['loss_bbox_EIoULoss_seed4'] == (dict(type='EIoULoss'), True)
    assert len(trainings) == 6
    for name, cfg in trainings.items():
        assert cfg['randomness']['seed'] == int(name[-1])
        assert cfg['train_cfg']['max_epochs'] == cfg['param_scheduler'][1]['T_max'] == 5
        assert cfg['train_dataloader']['dataset']['indices'] == 40
        del cfg['randomness']
        assert cfg == trainings['loss_bbox_L1_seed3']


def test_classification_losses_leave_the_boxes_alone(trainings, tmp_path):
    compare_losses(tmp_path, 'loss_cls', variants=['focal', 'focal, alpha < 0'])
    focal, no_alpha = (cfg['model']['bbox_head'] for cfg in trainings.values())
    assert list(trainings) == ['loss_cls_focal_seed0', 'loss_cls_focal__alpha___0_seed0']
    assert no_alpha.pop('loss_cls') == dict(type='TorchvisionFocalLoss', use_sigmoid=True, alpha=-1)
    assert focal.pop('loss_cls') == dict(type='FocalLoss', use_sigmoid=True)
    assert focal == no_alpha


def test_what_has_been_trained_is_not_trained_again(trainings, tmp_path):
    compare_losses(tmp_path, variants=['L1'])
    trainings.clear()
    results = compare_losses(tmp_path, variants=['L1', 'IoU'])
    assert list(trainings) == ['loss_bbox_IoU_seed0']
    assert results['L1'].metrics == METRICS
    assert json.loads((tmp_path / 'results.json').read_text())['IoU'] == vars(results['IoU'])


def test_results_of_another_budget_are_refused(trainings, tmp_path):
    compare_losses(tmp_path, variants=['L1'], epochs=5)
    with pytest.raises(ValueError, match='loss_bbox_L1_seed0 holds a training with another budget'):
        compare_losses(tmp_path, variants=['L1'], epochs=6)


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(variants=['CIuO']), r"Unknown loss 'CIuO' \(did you mean .*CIoU"),
        (dict(slot='loss_iou'), "The slot is 'loss_iou', but must be one of loss_bbox, loss_cls"),
        (dict(config='ext/psd_yolo.py'), 'psd_yolo.py has no `model.bbox_head.loss_bbox`'),
        (
            dict(config='ext/psd_yolo.py', slot='loss_cls'),
            'psd_yolo.py has no `model.bbox_head.loss_cls`',
        ),
    ],
)
def test_what_does_not_fit_is_named(trainings, tmp_path, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        compare_losses(tmp_path, **options)
    assert not trainings


def test_the_table_gives_means_changes_and_what_seeds_alone_do():
    results = {
        'L1': LossResult({}, {'AP': [0.5, 0.52], 'AP50': [0.8, 0.8], 'AR': [0.6, 0.7]}),
        'GIoU': LossResult({}, {'AP': [0.54, 0.55], 'AP50': [0.8, 0.9], 'AR': [0.6, 0.6]}),
    }
    text = printed(results)
    rows = [line.replace('│', ' ').split() for line in text.splitlines() if 'L1' in line]
    assert rows == [['L1', '0.510', '0.800', '0.650', '-']]
    rows = [line.replace('│', ' ').split() for line in text.splitlines() if 'GIoU' in line]
    assert rows == [['GIoU', '0.545', '0.850', '0.600', '+0.035']]
    assert '2 seeds; between seeds alone AP moves by up to 0.0200.' in ' '.join(text.split())


def test_one_seed_proves_nothing_and_the_table_says_so():
    text = printed({'L1': LossResult({}, METRICS)})
    assert 'One seed: how much of a change is chance is unknown.' in ' '.join(text.split())
