"""The configs of classic detectors on boxes of parking slots train, validate and test."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from tiny_runs import parts_that_learnt, train_and_test

import mmdet_ext.models.dense_heads.ssd_head
import mmdet_ext.models.dense_heads.yolov1_head
import mmdet_ext.models.roi_heads  # noqa: F401

CONFIGS = Path(__file__).parents[2] / 'configs/ext'
PARTS = {
    'yolov1_parking_slots': {'backbone', 'bbox_head'},
    'ssd_parking_slots': {'backbone', 'neck', 'bbox_head'},
    'faster_rcnn_roi_pool': {'backbone', 'neck', 'rpn_head', 'roi_head'},
}


@pytest.mark.parametrize('name', PARTS)
def test_two_iterations_change_every_part_of_the_detector_and_it_is_evaluated(name, tmp_path):
    path = CONFIGS / f'{name}.py'
    cfg = Config.fromfile(path)
    if name != 'faster_rcnn_roi_pool':
        cfg.model.test_cfg.score_thr = -1  # without a detection there would be no AP
    runner, before, metrics = train_and_test(cfg, tmp_path)
    assert runner.iter == 2
    assert parts_that_learnt(runner.model, before) == PARTS[name]
    assert 0 <= metrics['coco/bbox_mAP'] <= 1
    millions = sum(weight.numel() for weight in before.values()) / 1e6
    assert f'({millions:.1f} M parameters)' in path.read_text().splitlines()[0]


def test_yolov1_sees_an_image_and_its_mirror_image_in_test_time_augmentation():
    cfg = Config.fromfile(CONFIGS / 'yolov1_parking_slots.py').model
    cfg.test_cfg.score_thr = -1
    init_default_scope('mmdet')
    nms = ConfigDict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)
    model = MODELS.build(dict(type='DetTTAModel', tta_cfg=nms, module=cfg)).eval()
    image = torch.randint(0, 255, (3, 256, 256), dtype=torch.uint8)
    meta = dict(img_shape=(256, 256), ori_shape=(512, 512), scale_factor=(0.5, 0.5))
    inputs, samples = [], []
    for flip in (False, True):
        inputs.append([image.flip(2) if flip else image])
        metainfo = meta | dict(flip=flip, flip_direction='horizontal' if flip else None)
        samples.append([DetDataSample(metainfo=metainfo)])
    with torch.no_grad():
        merged = model.test_step(dict(inputs=inputs, data_samples=samples))[0].pred_instances
        plain, mirrored = (
            model.module.test_step(dict(inputs=inputs[i], data_samples=samples[i]))[
                0
            ].pred_instances
            for i in (0, 1)
        )
    boxes = mirrored.bboxes
    boxes = torch.stack([512 - boxes[:, 2], boxes[:, 1], 512 - boxes[:, 0], boxes[:, 3]], 1)
    from_plain, from_mirrored = (
        (merged.bboxes[:, None] - view).abs().amax(2).amin(1) < 0.05
        for view in (plain.bboxes, boxes)
    )
    assert (from_plain | from_mirrored).all()
    assert not from_plain.all()
    assert not from_mirrored.all()
