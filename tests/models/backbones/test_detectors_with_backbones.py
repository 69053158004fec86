"""Detectors on each backbone, built from configs, learn in one iteration."""

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmdet_ext.utils.configs import config_path

RETINANET = """
_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'
custom_imports = dict(imports=['mmdet_ext'], allow_failed_imports=False)
model = dict(
    backbone=dict(_delete_=True, {backbone}),
    neck=dict({neck}),
    bbox_head=dict(num_classes=2, stacked_convs=1, feat_channels=16, in_channels=16),
)
"""
FPN = "in_channels={}, out_channels=16, start_level=0, add_extra_convs='on_output'"
SIZE = 96


def torchvision_case(model, channels):
    backbone = f"type='TorchvisionBackbone', model='{model}', out_channels={channels}"
    return RETINANET.format(backbone=backbone, neck=FPN.format(channels))


VIT = "type='PlainViT', embed_dims=32, depth=2, num_heads=2, window_size=4"
PYRAMID = (
    "_delete_=True, type='SimpleFeaturePyramid', in_channels=32, out_channels=16, "
    'out_strides=(8, 16, 32), num_outs=5'
)
DETECTORS = {
    'resnet18': torchvision_case('resnet18', [128, 256, 512]),
    'mobilenet_v3_small': torchvision_case('mobilenet_v3_small', [24, 48, 576]),
    'convnext_tiny': torchvision_case('convnext_tiny', [192, 384, 768]),
    'vit': RETINANET.format(backbone=VIT, neck=PYRAMID),
    'yolov1': RETINANET.format(
        backbone="type='YOLOv1Darknet', widen_factor=0.125", neck=FPN.format([64, 128, 128])
    ),
    'dmpr': RETINANET.format(
        backbone="type='DMPRDarknet', widen_factor=0.125", neck=FPN.format([32, 64, 128])
    ),
}


def build(cfg):
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model.train()


def one_iteration(model, samples):
    """Take a step; return the losses before and after, and the parameters without a gradient."""
    torch.manual_seed(1)
    images = torch.randn(len(samples), 3, SIZE, SIZE)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    totals = []
    for _ in range(2):
        total, _ = model.parse_losses(model.loss(images, samples))
        totals.append(float(total))
        if len(totals) == 1:
            total.backward()
            optimizer.step()
    return totals, [
        name for name, p in model.named_parameters() if p.requires_grad and p.grad is None
    ]


def boxes():
    sample = DetDataSample()
    sample.set_metainfo(
        dict(img_shape=(SIZE, SIZE), pad_shape=(SIZE, SIZE), batch_input_shape=(SIZE, SIZE))
    )
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[8.0, 8.0, 56.0, 48.0], [40.0, 30.0, 90.0, 90.0]]),
        labels=torch.tensor([0, 1]),
    )
    return sample


@pytest.mark.parametrize('name', DETECTORS)
def test_retinanet_learns_on_it(name, tmp_path):
    path = tmp_path / f'{name}.py'
    path.write_text(DETECTORS[name])
    (before, after), without_gradient = one_iteration(
        build(Config.fromfile(path)), [boxes(), boxes()]
    )
    assert after < before
    assert without_gradient == []


def slots():
    sample = boxes()
    corners = torch.tensor([[[20.0, 60], [44, 60], [44, 12], [20, 12]]])
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[20.0, 12.0, 44.0, 60.0]]),
        labels=torch.tensor([0]),
        corners=corners,
        occupied=torch.tensor([1]),
    )
    sample.gt_marking_points = InstanceData(
        points=corners[0, :2],
        directions=torch.tensor([[0.0, -1.0], [0.0, -1.0]]),
        has_direction=torch.ones(2, dtype=torch.bool),
        shapes=torch.tensor([0, 1]),
    )
    kinds = ('marking_points', 'directions', 'shapes', 'slots', 'occupancy')
    sample.set_metainfo(dict(label_kinds=kinds))
    return sample


@pytest.mark.parametrize('name', ['psd_torchvision_resnet18', 'psd_vit'])
def test_the_parking_slot_detector_of_our_config_learns_on_it(name):
    cfg = Config.fromfile(config_path(f'ext/{name}.py'))
    (before, after), without_gradient = one_iteration(build(cfg), [slots(), slots()])
    assert after < before
    assert without_gradient == []
