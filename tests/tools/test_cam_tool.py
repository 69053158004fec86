"""tools/analysis/cam.py and featmap.py: from files to pictures, and what they answer to mistakes."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

CONFIG = """
_base_ = [__import__('mmdet_ext').config_path('_base_/models/psd_yolo.py')]
default_scope = 'mmdet'
custom_imports = dict(imports=['mmdet_ext'])
model = dict(
    backbone=dict(widen_factor=0.0625),
    neck=dict(in_channels=[16, 32, 64], out_channels=8),
    bbox_head=dict(in_channels=8, feat_channels=8),
    test_cfg=dict(score_thr=0.0, entrance_margin=1e9))
test_pipeline = [
    dict(type='LoadParkingSlotImage'),
    dict(type='LoadParkingSlotAnnotations'),
    dict(type='ParkingSlotAffine', size=(64, 64)),
    dict(type='PackParkingSlotInputs')]
test_dataloader = dict(dataset=dict(type='ParkingSlotDataset', pipeline=test_pipeline))
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """An image, a config and a checkpoint of it."""
    path = tmp_path_factory.mktemp('detector')
    (path / 'narrow.py').write_text(CONFIG)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(path / 'narrow.py').model)
    meta = dict(dataset_meta=dict(classes=('left', 'right', 'middle')))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path / 'narrow.pth')
    noise = np.random.default_rng(0).integers(0, 255, (40, 80, 3), np.uint8)
    cv2.imwrite(str(path / 'noise.png'), noise)
    return path


@pytest.fixture
def given(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return ['noise.png', 'narrow.py', 'narrow.pth', '--device', 'cpu']


def test_picture_is_written_for_each_slot_and_point_and_for_all(tool, given, capsys):
    options = '--score-thr 0 --top-k 2 --method gradcam++ --layers neck.out_convs.0 --out-dir maps'
    tool('analysis/cam').main([*given, *options.split()])
    names = re.findall(r'^maps/noise_gradcam\+\+_(\w+)\.png$', capsys.readouterr().out, re.M)
    assert names == ['all', 'slot0', 'slot1', 'point0', 'point1']
    picture = cv2.imread('maps/noise_gradcam++_slot1.png')
    assert picture.shape[1] == 2 * 7 * 80 + 12  # both sides enlarged to 256 rows or more, and gaps


def test_chosen_predictions_are_explained_whatever_their_score(tool, given, capsys):
    options = '--target points --index 3 1 --score-thr 0.9 --out-dir chosen'
    tool('analysis/cam').main([*given, *options.split()])
    assert [file.name for file in sorted(Path('chosen').iterdir())] == [
        f'noise_layercam_{name}.png' for name in ('all', 'point1', 'point3')
    ]


def test_map_that_is_the_same_for_all_predictions_comes_with_a_sentence(tool, given, capsys):
    tool('analysis/cam').main([*given, '--score-thr', '0', '--method', 'eigencam'])
    note, *files = capsys.readouterr().out.splitlines()[-2:]
    assert note.startswith('EigenCAM looks at the features alone')
    assert files == ['work_dirs/cam/noise_eigencam_all.png']


@pytest.mark.parametrize('name', ['cam', 'featmap'])
def test_layers_are_listed_with_their_sizes(tool, given, capsys, name):
    tool(f'analysis/{name}').main([*given, '--list-layers'])
    lines = capsys.readouterr().out.splitlines()
    assert 'neck.out_convs.1  ConvModule  8 x 4 x 4' in lines
    assert lines[-1] == 'bbox_head  PSDHead  10 x 8 x 8  12 x 8 x 8'


def test_feature_maps_are_written_for_each_layer(tool, given, capsys):
    options = '--layers backbone.stage2 neck --reduce pca --out-dir features'
    tool('analysis/featmap').main([*given, *options.split()])
    names = [Path(line).name for line in capsys.readouterr().out.splitlines()[-4:]]
    layers = ['backbone.stage2', 'neck_0', 'neck_1', 'neck_2']
    assert names == [f'noise_pca_{layer}.png' for layer in layers]


def test_config_can_be_overridden(tool, given, capsys):
    size = 'test_dataloader.dataset.pipeline.2.size=(128,64)'
    tool('analysis/featmap').main([*given, '--list-layers', '--cfg-options', size])
    assert 'neck.out_convs.1  ConvModule  8 x 4 x 8' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (
            ['--layers', 'neck.out_conv.1'],
            r'there is no layer `neck.out_conv.1` \(did you mean neck.o',
        ),
        (['--target', 'boxes'], "target is 'boxes', but this model predicts slots and points"),
        (['--score-thr', '1.5'], r'slots and \d+ points of this image scores 1.5 or more'),
        (['--device', 'cuda:99'], 'the device cuda:99 cannot be used'),
    ],
)
def test_mistake_gets_one_sentence(tool, given, error_of, options, sentence):
    assert re.search(sentence, error_of(tool('analysis/cam').main, *given, *options))


@pytest.mark.parametrize(
    ('position', 'name', 'sentence'),
    [
        (0, 'nose.png', 'nose.png does not exist'),
        (0, 'narrow.py', 'narrow.py'),
        (1, 'narow.py', r'narow.py does not exist \(did you mean narrow.py\?\)'),
        (2, 'wide.pth', 'wide.pth does not exist: the folder has narrow.pth'),
    ],
)
def test_wrong_file_gets_one_sentence(tool, given, error_of, position, name, sentence):
    given[position] = name
    assert re.search(sentence, error_of(tool('analysis/cam').main, *given))
