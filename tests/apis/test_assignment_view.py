"""What is drawn of an assignment, and what assignment.py says of images and models it cannot draw."""

import importlib.util
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.models.task_modules.assigners import ATSSAssigner, MaxIoUAssigner
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmdet_ext.apis.assignment_view import (
    Assignment,
    draw_assignment,
    object_colours,
    record_assignment,
)
from mmdet_ext.models.dense_heads.iqdet_head import IQDetHead
from mmdet_ext.models.task_modules.assigners import OTAAssigner

TOOL = Path(__file__).parents[2] / 'tools/analysis/assignment.py'
BOXES = ((10.0, 12, 60, 90), (64, 20, 120, 60))  # x1 y1 x2 y2
CONFIG = """
_base_ = __import__('mmdet_ext').config_path('ext/assignment/NAME.py')
custom_imports = None
synthetic_data = None
model = dict(backbone=dict(base_channels=8), neck=dict(in_channels=[8, 16, 32, 64]))
train_dataloader = dict(dataset=dict(
    data_root='.', pipeline=[
        dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
        dict(type='Resize', scale=(128, 128)), dict(type='PackDetInputs')]))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two images of 128 x 128 pixels, objects on the first alone."""
    monkeypatch.chdir(tmp_path)
    for name in ('first', 'second'):
        cv2.imwrite(f'{name}.png', np.full((128, 128, 3), 90, np.uint8))
    boxes = [dict(bbox=[a, b, c - a, d - b], area=(c - a) * (d - b)) for a, b, c, d in BOXES]
    content = {
        'images': [
            {'id': i, 'file_name': f'{name}.png', 'width': 128, 'height': 128}
            for i, name in enumerate(('first', 'second'))
        ],
        'annotations': [
            box | {'id': i, 'image_id': 0, 'category_id': i + 1, 'iscrowd': 0}
            for i, box in enumerate(boxes)
        ],
        'categories': [
            {'id': i, 'name': name}
            for i, name in enumerate(('perpendicular', 'parallel', 'slanted'), 1)
        ],
    }
    Path('train.json').write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def main():
    spec = importlib.util.spec_from_file_location('tools_assignment', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def write(name):
    Path(f'{name}.py').write_text(CONFIG.replace('NAME', name))
    return f'{name}.py'


def detector(head, train_cfg):
    init_default_scope('mmdet')
    torch.manual_seed(0)
    cfg = dict(
        type='SingleStageDetector',
        data_preprocessor=dict(type='DetDataPreprocessor'),
        backbone=dict(type='ResNet', depth=18, base_channels=8, out_indices=(1, 2)),
        neck=dict(type='FPN', in_channels=[16, 32], out_channels=8, num_outs=2),
        bbox_head=dict(num_classes=3, in_channels=8, feat_channels=8, stacked_convs=1, **head),
        train_cfg=train_cfg,
    )
    return MODELS.build(Config(cfg)).eval()


def sample():
    objects = InstanceData(bboxes=torch.tensor(BOXES), labels=torch.tensor([0, 1]))
    meta = dict(img_shape=(128, 128), pad_shape=(128, 128))
    return DetDataSample(metainfo=meta, gt_instances=objects)


def anchors(scale):
    return torch.tensor(
        [
            (x - s * scale / 2, y - s * scale / 2, x + s * scale / 2, y + s * scale / 2)
            for s in (8, 16)
            for y in range(0, 128, s)
            for x in range(0, 128, s)
        ]
    ).float()


FOCAL = dict(type='FocalLoss', use_sigmoid=True)
ATSS = dict(
    type='ATSSHead',
    loss_cls=FOCAL,
    loss_bbox=dict(type='GIoULoss'),
    reg_decoded_bbox=True,
    norm_cfg=dict(type='GN', num_groups=2),
    anchor_generator=dict(
        type='AnchorGenerator',
        ratios=[1.0],
        octave_base_scale=4,
        scales_per_octave=1,
        strides=[8, 16],
    ),
)
RETINA = dict(type='RetinaHead', anchor_generator=ATSS['anchor_generator'], loss_cls=FOCAL)


def check_anchors(found, expected):
    """Positives are those of an assigner that was asked directly."""
    positive = expected.gt_inds > 0
    corners = anchors(4)[positive]
    assert len(corners) > 2
    np.testing.assert_array_equal(found.objects, expected.gt_inds[positive] - 1)
    np.testing.assert_allclose(found.centres, (corners[:, :2] + corners[:, 2:]) / 2)
    np.testing.assert_allclose(found.sizes, corners[:, 2] - corners[:, 0])
    assert (found.unit, found.smallest) == ('anchor', 32)


def test_positives_of_anchors_are_those_of_the_assigner():
    image, truth = torch.zeros(3, 128, 128), sample().gt_instances
    train_cfg = dict(assigner=dict(type='ATSSAssigner', topk=9), allowed_border=-1, pos_weight=-1)
    expected = ATSSAssigner(9).assign(InstanceData(priors=anchors(4)), [256, 64], truth)
    check_anchors(record_assignment(detector(ATSS, train_cfg), image, sample()), expected)
    iou = dict(type='MaxIoUAssigner', pos_iou_thr=0.4, neg_iou_thr=0.3)
    train_cfg = dict(assigner=iou, allowed_border=-1, pos_weight=-1)
    expected = MaxIoUAssigner(0.4, 0.3).assign(InstanceData(priors=anchors(4)), truth)
    check_anchors(record_assignment(detector(RETINA, train_cfg), image, sample()), expected)


def test_positives_of_points_are_at_the_points_and_as_large_as_their_strides():
    head = dict(type='YOLOXHead', strides=[8, 16])
    model = detector(head, dict(assigner=dict(type='SimOTAAssigner')))
    assigner = model.bbox_head.assigner
    found = record_assignment(model, torch.zeros(3, 128, 128), sample())
    assert model.bbox_head.assigner is assigner  # as it was
    assert found.unit == 'stride'
    assert found.smallest == 8
    assert set(found.objects) == {0, 1}
    np.testing.assert_allclose((found.centres / found.sizes[:, None]) % 1, 0.5)
    assert found.assigner == 'SimOTAAssigner'


def test_counts_are_of_an_object_by_size():
    found = Assignment(
        boxes=np.array(BOXES),
        labels=np.array([0, 1]),
        centres=np.zeros((4, 2)),
        sizes=np.array([16.0, 8, 8, 32]),
        objects=np.array([0, 0, 0, 1]),
        smallest=8,
        unit='stride',
        assigner='OTAAssigner',
    )
    assert found.counts(0) == '3 positives (stride 8: 2, 16: 1)'
    assert found.counts(1) == '1 positive (stride 32: 1)'
    assert found.counts(2) == '0 positives'


def test_discs_have_the_colour_of_their_object_and_grow_with_the_size():
    found = Assignment(
        boxes=np.array(BOXES),
        labels=np.array([0, 1]),
        centres=np.array([[30.0, 40], [90, 40]]),
        sizes=np.array([8.0, 32]),
        objects=np.array([0, 1]),
        smallest=8,
        unit='stride',
        assigner='OTAAssigner',
    )
    picture = draw_assignment(np.full((128, 128, 3), 90, np.uint8), found)
    assert picture.shape == (768, 768, 3)  # six times as large
    colours = object_colours(2)
    for (x, y), colour in zip(found.centres, colours, strict=True):
        assert picture[int(y * 6 + 2.5), int(x * 6 + 2.5)].tolist() == list(colour)
    areas = [
        (picture[130:360, columns] == colour).all(-1).sum()
        for columns, colour in zip((slice(70, 350), slice(400, 700)), colours, strict=True)
    ]
    assert areas[1] > 3 * areas[0] > 0


def test_colours_of_objects_differ():
    assert len(set(object_colours(40))) == 40


@pytest.mark.parametrize('name', ['ota', 'iqdet', 'paa'])
def test_tool_writes_a_picture_and_a_line_for_each_object(folder, main, capsys, name):
    main([write(name), '0', '--device', 'cpu', '--out-dir', 'out'])
    *lines, path = capsys.readouterr().out.splitlines()[-4 - (name == 'paa') :]
    assert re.match(
        r'0 perpendicular, 50 x 78 px: \d+ positives? \((stride|anchor) \d+: \d+', lines[0]
    )
    assert re.match(r'1 parallel, 56 x 40 px: \d+ positives? \(', lines[1])
    assert ('These are candidates' in lines[2]) == (name == 'paa')
    assert lines[-1] == 'The weights are random; a checkpoint shows it in training.'
    assert path == f'out/{name}_first.png'
    assert cv2.imread(path).shape[1] == 768


def test_image_is_found_by_its_name_and_weights_come_from_a_checkpoint(folder, main, capsys):
    config = write('iqdet')
    assert MODELS.get('IQDetHead') is IQDetHead
    assert TASK_UTILS.get('OTAAssigner') is OTAAssigner
    init_default_scope('mmdet')
    model = MODELS.build(Config.fromfile(config).model)
    torch.save(dict(state_dict=model.state_dict(), meta={}), 'weights.pth')
    main(
        [config, 'first.png', '--checkpoint', 'weights.pth', '--device', 'cpu', '--out-dir', 'out']
    )
    output = capsys.readouterr().out
    assert output.endswith('out/iqdet_first.png\n')
    assert 'random' not in output


@pytest.mark.parametrize(
    ('name', 'image', 'sentence'),
    [
        (
            'centre_region',
            '0',
            'FCOSHead has no assigner, it assigns within its loss: name a config',
        ),
        ('free_anchor', '0', 'FreeAnchorRetinaHead has no assigner, it assigns within its loss'),
        ('ota', '1', r'the image second.png \(1\) has no objects: choose another'),
        ('ota', '7', r'there is no image with index 7: the dataset has 2, choose from 0 to 1'),
    ],
)
def test_what_cannot_be_drawn_gets_one_sentence(folder, main, capsys, name, image, sentence):
    path = write(name)
    with pytest.raises(SystemExit):
        main([path, image, '--device', 'cpu'])
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith('error: ')
    assert re.search(sentence, error)


def test_assigner_that_is_not_asked_about_priors_gets_a_sentence():
    head = RETINA | dict(type='FreeAnchorRetinaHead')
    iou = dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4)
    model = detector(head, dict(assigner=iou, allowed_border=-1, pos_weight=-1))
    sentence = 'FreeAnchorRetinaHead does not ask its MaxIoUAssigner about priors'
    with pytest.raises(ValueError, match=sentence):
        record_assignment(model, torch.zeros(3, 128, 128), sample())
