"""The whole path on a handful of scenes: data, training, checkpoint, testing, pictures."""

import json
import pickle
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

from mmdet_ext.apis import ParkingSlotInferencer
from mmdet_ext.datasets.formats.convert import convert
from mmdet_ext.datasets.formats.parking_slot_coco import read_parking_slot_coco
from mmdet_ext.datasets.surround_view.dataset import make_dataset

ROOT = Path(__file__).parents[1]
METRICS = [
    'slot/precision',
    'slot/recall',
    'slot/f1',
    'slot/ap',
    'slot/map_polygon',
    'slot/corner_error_px',
    'slot/angle_error_deg',
    'slot/type_accuracy',
    'slot/occupancy_accuracy',
    'slot/threshold',
    'point/precision',
    'point/recall',
    'point/f1',
    'point/ap',
    'point/error_px',
    'point/threshold',
    'coco/bbox_mAP',
]
POINT_KEYS = ('points', 'directions', 'shapes')


def assert_close(ours, theirs):
    torch.testing.assert_close(torch.from_numpy(ours), theirs, atol=1e-3, rtol=1e-3)


def tool(name, *args):
    """Run a tool as from the command line, in this process."""
    for kind in (MMLogger, MessageHub, Visualizer, DefaultScope):
        kind._instance_dict.clear()
    return runpy.run_path(str(ROOT / 'tools' / f'{name}.py'))['main']([str(a) for a in args])


def scalars(work_dir):
    lines = sorted(work_dir.glob('*/vis_data/scalars.json'))[-1].read_text().splitlines()
    return [json.loads(line) for line in lines]


def options(root, epochs):
    size = '128,128'
    return [
        '--cfg-options',
        'synthetic_data=None',
        f'train_dataloader.dataset.data_root={root}',
        f'val_dataloader.dataset.data_root={root}',
        f'test_dataloader.dataset.data_root={root}',
        f'train_dataloader.dataset.pipeline.2.size={size}',
        f'val_dataloader.dataset.pipeline.2.size={size}',
        f'test_dataloader.dataset.pipeline.2.size={size}',
        *(
            f'{kind}_evaluator.{i}.ann_file={root}/val.json'
            for kind in ('val', 'test')
            for i in (0, 1)
        ),
        f'train_cfg.max_epochs={epochs}',
        f'train_cfg.val_interval={epochs}',
        'param_scheduler.0.end=5',
        'default_hooks.logger.interval=1',
    ]


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp('scenes')
    make_dataset(root, splits={'train': 16, 'val': 4}, size=128, seed=3, num_workers=1)
    return root


@pytest.fixture(scope='module')
def trained(scenes, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('trained')
    tool('train', ROOT / 'configs/ext/psd_yolo.py', '--work-dir', work_dir, *options(scenes, 20))
    return work_dir


def test_training_lowers_the_loss_and_saves_checkpoints(trained):
    losses = [entry for entry in scalars(trained) if 'loss' in entry]
    first, last = losses[0], losses[-1]
    for name in ('loss', 'loss_point_cls', 'loss_slot_cls'):
        assert last[name] < 0.95 * first[name], name
    assert (trained / 'epoch_20.pth').is_file()


def test_testing_prints_the_promised_metrics_and_draws(scenes, trained, tmp_path):
    out = tmp_path / 'predictions.pkl'
    tool(
        'test',
        ROOT / 'configs/ext/psd_yolo.py',
        trained / 'epoch_20.pth',
        '--work-dir',
        tmp_path,
        '--out',
        out,
        '--show-dir',
        'pictures',
        *options(scenes, 1),
    )
    report = json.loads(next(tmp_path.glob('*/*.json')).read_text())
    assert not [name for name in METRICS if name not in report]
    predictions = pickle.loads(out.read_bytes())
    assert len(predictions) == 4
    assert {'pred_instances', 'pred_marking_points'} <= set(predictions[0])
    pictures = sorted(tmp_path.glob('*/pictures/*.jpg'))
    assert len(pictures) == 4
    assert cv2.imread(str(pictures[0])).shape == (288, 524, 3)


def test_test_time_augmentation_is_evaluated_like_plain_predictions(scenes, trained, tmp_path):
    tool(
        'test',
        ROOT / 'configs/ext/psd_yolo.py',
        trained / 'epoch_20.pth',
        '--tta',
        '--work-dir',
        tmp_path,
        *options(scenes, 1),
    )
    report = json.loads(next(tmp_path.glob('*/*.json')).read_text())
    assert not [name for name in METRICS if name not in report]


def test_inference_on_files_agrees_with_testing(scenes, trained, tmp_path):
    out, config = tmp_path / 'predictions.pkl', tmp_path / 'small.py'
    checkpoint = trained / 'epoch_20.pth'
    base = ROOT / 'configs/ext/psd_yolo.py'
    tool('test', base, checkpoint, '--work-dir', tmp_path, '--out', out, *options(scenes, 1))
    config.write_text(
        f"_base_ = '{base}'\ntest_pipeline = _base_.test_pipeline\n"
        'test_pipeline[2].size = (128, 128)\n'
    )
    inferencer = ParkingSlotInferencer(str(config), str(checkpoint), device='cpu')
    got = inferencer(str(scenes / 'val'), batch_size=3, score_thr=0)
    assert got['names'] == [f'{i:06d}.jpg' for i in range(4)]
    for found, tested in zip(got['predictions'], pickle.loads(out.read_bytes()), strict=True):
        slots, points = tested['pred_instances'], tested['pred_marking_points']
        for key in ('corners', 'labels', 'scores', 'occupied_scores'):
            assert_close(getattr(found, key), slots[key])
        for key, theirs in (('point_scores', 'scores'), *zip(*2 * [POINT_KEYS], strict=True)):
            assert_close(getattr(found, key), points[theirs])
    tool('infer', scenes / 'val.json', '--checkpoint', checkpoint, '--out-dir', tmp_path / 'found')
    assert len(list((tmp_path / 'found/pictures/val').glob('*.jpg'))) == 4
    written = read_parking_slot_coco(tmp_path / 'found/predictions.json').images
    assert [image.metres_per_pixel for image in written] == [
        image.metres_per_pixel for image in read_parking_slot_coco(scenes / 'val.json').images
    ]
    assert written[0].metres_per_pixel > 0


@pytest.fixture
def strips(tmp_path):
    """PSDet's layout: one sequence of strips with one marking point each."""
    folder = tmp_path / 'strips' / 'Brick' / 'parking_key_point0828_zd_R'
    folder.mkdir(parents=True)
    for i in range(60):
        image = np.full((300, 96, 3), 60, np.uint8)
        x, y = 20 + i % 50, 40 + 4 * i
        image[y, 10:90] = image[y:, x] = 220
        cv2.imwrite(str(folder / f'{i:06d}.jpg'), image)
        point = f'<x>{2 * x}</x><y>{2 * y}</y>'
        (folder / f'{i:06d}.xml').write_text(
            f'<annotation><filename>{i:06d}.jpg</filename><object><name>01_key_point</name>'
            f'<deleted>0</deleted><polygon><pt>{point}</pt></polygon></object>'
            '<imagesize><nrows>600</nrows><ncols>192</ncols></imagesize></annotation>'
        )
    return tmp_path


def test_real_strips_train_the_points_of_the_same_head_alone(strips):
    convert('psdet', strips / 'strips', strips / 'labels')
    work_dir = strips / 'work'
    tool(
        'train',
        ROOT / 'configs/ext/psd_yolo_psdet.py',
        '--work-dir',
        work_dir,
        '--cfg-options',
        f'train_dataloader.dataset.data_prefix.img={strips}/strips',
        f'val_dataloader.dataset.data_prefix.img={strips}/strips',
        f'train_dataloader.dataset.ann_file={strips}/labels/train.json',
        f'val_dataloader.dataset.ann_file={strips}/labels/val.json',
        f'val_evaluator.0.ann_file={strips}/labels/val.json',
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=1',
        'default_hooks.logger.interval=1',
    )
    entries = scalars(work_dir)
    last = [entry for entry in entries if 'loss' in entry][-1]
    assert last['loss_point_cls'] > 0
    assert all(last[name] == 0 for name in last if name.startswith('loss_slot'))
    report = entries[-1]
    assert 'point/f1' in report
    assert not [name for name in report if name.startswith('slot/')]
