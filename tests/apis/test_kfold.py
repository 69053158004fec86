"""K-fold training: real trainings of a two-parameter model, one process per fold."""

import csv
import json
import math
import os
import statistics
from pathlib import Path

import pytest
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from PIL import Image

from mmdet_ext.apis import kfold
from mmdet_ext.apis.kfold import KFoldReport, train_folds

TOY = """
import json, os, signal
from pathlib import Path
import torch
from mmdet.registry import HOOKS, METRICS, MODELS, TRANSFORMS
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel

@TRANSFORMS.register_module(force=True)
class KFoldToyPack:
    def __call__(self, results):
        return dict(inputs=torch.tensor([float(results['img_id'])]), data_samples=results['img_id'])

@MODELS.register_module(force=True)
class KFoldToyModel(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.register_buffer('trained_on', torch.zeros(100))
    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            self.trained_on[list(data_samples)] += 1
            return dict(loss=self.layer(torch.stack(list(inputs))).square().mean())
        return [dict(img_id=i, times=float(self.trained_on[i])) for i in data_samples]

@METRICS.register_module(force=True)
class KFoldToyMetric(BaseMetric):
    default_prefix = 'toy'
    def __init__(self, ann_file):
        super().__init__()
        self.ids = {i['id'] for i in json.loads(Path(ann_file).read_text())['images']}
    def process(self, data_batch, data_samples):
        self.results += data_samples
    def compute_metrics(self, results):
        ids = {r['img_id'] for r in results}
        return dict(id_sum=sum(ids), strangers=len(ids ^ self.ids),
                    leaks=sum(r['times'] for r in results), mAP_s=-1.0)

@HOOKS.register_module(force=True)
class KFoldToyBreak(Hook):
    def before_train_epoch(self, runner):
        if runner.epoch == 1 and Path('break').exists():
            if 'fold_1' in runner.work_dir:
                raise ValueError('the toy of this fold is broken')
            if 'fold_2' in runner.work_dir:
                os.kill(os.getpid(), signal.SIGKILL)
"""

CONFIG = """
default_scope = 'mmdet'
custom_imports = dict(imports=['kfold_toy'], allow_failed_imports=False)
data = dict(type='CocoDataset', data_root='data', metainfo=dict(classes=('a', 'b')),
            data_prefix=dict(img=''), pipeline=[dict(type='KFoldToyPack')])
model = dict(type='KFoldToyModel')
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='RepeatDataset', times=1, dataset=dict(ann_file='all.json', **data)))
val_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(ann_file='elsewhere.json', test_mode=True, **{**data, 'data_root': 'other'}))
test_dataloader = val_dataloader
val_evaluator = [dict(type='KFoldToyMetric', ann_file='other/elsewhere.json')]
test_evaluator = val_evaluator
train_cfg = dict(by_epoch=True, max_epochs=2)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.0))
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1))
custom_hooks = [dict(type='KFoldToyBreak')]
env_cfg = dict(mp_cfg=dict(mp_start_method='fork'))
"""

IMAGES = 9


def write_json(path, ids):
    Path(path).parent.mkdir(exist_ok=True)
    for i in ids:
        Image.new('L', (9, 9)).save(f'data/{i}.png')
    content = {
        'images': [{'id': i, 'file_name': f'{i}.png', 'width': 9, 'height': 9} for i in ids],
        'categories': [{'id': 1, 'name': 'a'}, {'id': 2, 'name': 'b'}],
        'annotations': [
            {'id': i + 1, 'image_id': i, 'category_id': 1 + i % 2, 'bbox': [1, 1, 4, 4], 'area': 16}
            | {'iscrowd': 0}
            for i in ids
        ],
    }
    Path(path).write_text(json.dumps(content))


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A config, its annotations and its components in an empty current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path('kfold_toy.py').write_text(TOY)
    Path('toy.py').write_text(CONFIG)
    write_json('data/all.json', range(IMAGES))
    return 'toy.py'


@pytest.fixture
def fresh_globals(monkeypatch):
    """Forget mmengine's process-wide instances, which a second run in one process would inherit."""

    def forget():
        for manager in (DefaultScope, MessageHub, MMLogger, Visualizer):
            monkeypatch.setattr(manager, '_instance_dict', type(manager._instance_dict)())

    forget()
    return forget


@pytest.fixture
def here(monkeypatch, fresh_globals):
    """Train in this process, which takes no time to start."""

    def run(function, *args):
        fresh_globals()
        return function(*args)

    monkeypatch.setattr(kfold, '_in_own_process', run)


@pytest.fixture
def forked(monkeypatch, fresh_globals):
    """Train in processes that start at once, as this one has imported everything."""
    register_all_modules()
    monkeypatch.setattr(kfold, '_START_METHOD', 'fork')


def test_a_fold_gets_a_new_process_of_this_one():
    assert kfold._in_own_process(os.getppid) == os.getpid()


def test_broken_folds_are_named_lose_no_other_and_go_on_when_called_again(toy, forked):
    Path('break').touch()
    first = train_folds(toy, 3, work_dir='w')
    assert list(first.metrics) == ['fold_0']
    assert first.errors['fold_1'].startswith('the toy of this fold is broken (traceback: w/fold_1')
    assert 'its process was killed' in first.errors['fold_2']
    assert 'in before_train_epoch' in Path('w/fold_1/error.txt').read_text()
    times = {path: path.stat().st_mtime_ns for path in Path('w').rglob('epoch_*.pth')}
    assert sorted(map(str, times)) == [
        'w/fold_0/epoch_1.pth',
        'w/fold_0/epoch_2.pth',
        'w/fold_1/epoch_1.pth',
        'w/fold_2/epoch_1.pth',
    ]

    Path('break').unlink()
    second = train_folds(toy, 3, work_dir='w')
    assert second.errors == {}
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert Path('w/fold_2/epoch_2.pth').is_file()
    assert not Path('w/fold_1/error.txt').exists()
    metrics = [second.metrics[f'fold_{i}'] for i in range(3)]
    assert sum(m['toy/id_sum'] for m in metrics) == sum(range(IMAGES))
    assert [m['toy/strangers'] for m in metrics] == [0, 0, 0]
    assert [m['toy/leaks'] for m in metrics] == [0, 0, 0]

    sums = [m['toy/id_sum'] for m in metrics]
    row = second.rows()['toy/id_sum']
    assert row['mean'] == pytest.approx(statistics.mean(sums))
    assert row['std'] == pytest.approx(statistics.stdev(sums))
    written = json.loads(Path('w/kfold.json').read_text())
    assert written['metrics']['toy/id_sum'] == row
    table = {
        line['metric']: line
        for line in csv.DictReader(Path('w/kfold.csv').read_text().splitlines())
    }
    assert [float(table['toy/id_sum'][f'fold_{i}']) for i in range(3)] == sums
    assert table['toy/mAP_s']['mean'] == ''


def test_a_fold_that_was_stopped_after_its_last_epoch_is_only_validated(toy, here):
    expected = train_folds(toy, 2, work_dir='w').metrics
    for fold in ('fold_0', 'fold_1'):
        path = Path('w', fold, 'fold.json')
        path.write_text(json.dumps({**json.loads(path.read_text()), 'metrics': None}))
    times = {path: path.stat().st_mtime_ns for path in Path('w').rglob('epoch_*.pth')}
    assert train_folds(toy, 2, work_dir='w').metrics == expected
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_results_of_other_folds_or_options_are_never_mixed(toy, here):
    train_folds(toy, 2, work_dir='w')
    with pytest.raises(ValueError, match=r'w/fold_0 was trained on other images'):
        train_folds(toy, 2, work_dir='w', seed=1)
    with pytest.raises(ValueError, match=r'w/fold_0 was trained with another config'):
        train_folds(toy, 2, work_dir='w', cfg_options={'train_cfg.max_epochs': 3})
    more = train_folds(toy, 2, work_dir='more', cfg_options={'train_cfg.max_epochs': 3})
    assert Path('more/fold_1/epoch_3.pth').is_file()
    assert more.errors == {}


def test_a_folder_of_folds_is_used_as_it_is(toy, here):
    for fold, ids in enumerate(([1, 2], [3, 4, 5])):
        write_json(f'data/fold_{fold}/train.json'.replace('data/', 'data_'), range(6, 9))
        write_json(f'data_fold_{fold}/val.json', ids)
        Path(f'data_fold_{fold}').rename(f'data/fold_{fold}')
    report = train_folds(toy, fold_dir='data', work_dir='w')
    assert [m['toy/id_sum'] for m in report.metrics.values()] == [3, 12]
    with pytest.raises(FileNotFoundError, match=r'other has 0 folds; expected fold_0/train\.json'):
        train_folds(toy, fold_dir='other', work_dir='v')


def fold_config(folder='w', fold=0):
    return Config.fromfile(f'{folder}/folds/fold_{fold}/toy.py')


def test_a_folds_images_come_from_the_training_folder_and_the_test_data_stay(toy, here):
    train_folds(toy, 2, work_dir='w')
    cfg = fold_config()
    folder = Path('w/folds/fold_0').absolute()
    assert cfg.train_dataloader.dataset.dataset.ann_file == str(folder / 'train.json')
    assert cfg.val_dataloader.dataset.ann_file == str(folder / 'val.json')
    assert cfg.val_dataloader.dataset.data_root == 'data'
    assert cfg.val_dataloader.dataset.test_mode is True
    assert cfg.val_evaluator[0].ann_file == str(folder / 'val.json')
    assert cfg.test_dataloader.dataset.ann_file == 'elsewhere.json'
    assert cfg.test_dataloader.dataset.data_root == 'other'
    assert cfg.test_evaluator[0].ann_file == 'other/elsewhere.json'


def test_of_several_annotation_files_one_is_chosen_and_the_others_are_always_trained_on(toy, here):
    write_json('data/more.json', range(20, 24))
    Path('toy.py').write_text(
        CONFIG
        + """
train_dataloader['dataset'] = dict(type='ConcatDataset', datasets=[
    dict(ann_file='all.json', **data), dict(ann_file='more.json', **data)])
"""
    )
    with pytest.raises(
        ValueError, match=r"2 annotation files \['data/all\.json', 'data/more\.json'"
    ):
        train_folds(toy, 2, work_dir='w')
    with pytest.raises(ValueError, match=r'does not train on data/x\.json'):
        train_folds(toy, 2, work_dir='w', ann_file='data/x.json')
    report = train_folds(toy, 2, work_dir='w', ann_file='data/all.json')
    assert sum(m['toy/id_sum'] for m in report.metrics.values()) == sum(range(IMAGES))
    datasets = fold_config().train_dataloader.dataset.datasets
    assert datasets[0].ann_file.endswith('w/folds/fold_0/train.json')
    assert datasets[1].ann_file == 'more.json'


def test_a_config_without_validation_is_refused(toy):
    Path('toy.py').write_text(CONFIG + 'val_cfg = val_dataloader = val_evaluator = None\n')
    with pytest.raises(ValueError, match=r'toy\.py has no val_dataloader, val_evaluator, val_cfg'):
        train_folds(toy, 2)


def test_a_fold_without_a_value_does_not_count_in_the_mean():
    report = KFoldReport({'fold_0': {'coco/bbox_mAP_s': -1.0, 'x': 1.0, 'd': -1.0}})
    report.metrics['fold_1'] = {'coco/bbox_mAP_s': 0.5, 'x': math.nan, 'd': 1.0}
    rows = report.rows()
    assert rows['coco/bbox_mAP_s']['mean'] == 0.5
    assert rows['coco/bbox_mAP_s']['std'] is None
    assert rows['x']['folds'] == {'fold_0': 1.0, 'fold_1': None}
    assert (rows['d']['mean'], rows['d']['std']) == (0.0, pytest.approx(math.sqrt(2)))
