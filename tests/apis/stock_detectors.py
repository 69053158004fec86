"""Detectors of mmdet from its own configs, so narrow that a forward pass takes milliseconds."""

import cv2
import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope

from mmdet_ext.apis.explain import load_subject

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 96), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'ori_shape', 'img_shape', 'scale_factor')),
]
RESNET = dict(backbone=dict(depth=18, base_channels=8, init_cfg=None))
HEAD = dict(num_classes=3, in_channels=16, feat_channels=16)
FPN = dict(in_channels=[8, 16, 32, 64], out_channels=16)
RPN = dict(nms_pre=50, max_per_img=10)
LAYER = dict(
    self_attn_cfg=dict(embed_dims=16), ffn_cfg=dict(embed_dims=16, feedforward_channels=16)
)
STOCK = {
    'RetinaNet': (
        'retinanet/retinanet_r18_fpn_1x_coco.py',
        RESNET | dict(neck=FPN, bbox_head=HEAD | dict(stacked_convs=1), test_cfg=dict(score_thr=0)),
    ),
    'RetinaNet on Swin': (
        'swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py',
        dict(
            backbone=dict(embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1), init_cfg=None),
            neck=dict(in_channels=[16, 32, 64], out_channels=16),
            bbox_head=HEAD | dict(stacked_convs=1),
            test_cfg=dict(score_thr=0),
        ),
    ),
    'YOLOX': (
        'yolox/yolox_tiny_8xb8-300e_coco.py',
        dict(
            data_preprocessor=dict(mean=[128] * 3, std=[64] * 3),
            backbone=dict(widen_factor=0.125),
            neck=dict(in_channels=[32, 64, 128], out_channels=16),
            bbox_head=HEAD,
            test_cfg=dict(score_thr=0),
        ),
    ),
    'RTMDet': (
        'rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
        dict(
            backbone=dict(widen_factor=0.125, init_cfg=None),
            neck=dict(in_channels=[32, 64, 128], out_channels=16),
            bbox_head=HEAD,
            test_cfg=dict(score_thr=0),
        ),
    ),
    'Faster R-CNN': (
        'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
        RESNET
        | dict(
            neck=FPN,
            rpn_head=dict(in_channels=16, feat_channels=16),
            roi_head=dict(
                bbox_roi_extractor=dict(out_channels=16),
                bbox_head=dict(in_channels=16, fc_out_channels=16, num_classes=3),
            ),
            test_cfg=dict(rpn=RPN, rcnn=dict(score_thr=0)),
        ),
    ),
    'DETR': (
        'detr/detr_r50_8xb2-150e_coco.py',
        RESNET
        | dict(
            neck=dict(in_channels=[64], out_channels=16),
            num_queries=10,
            encoder=dict(num_layers=1, layer_cfg=LAYER),
            decoder=dict(num_layers=1, layer_cfg=LAYER | dict(cross_attn_cfg=dict(embed_dims=16))),
            positional_encoding=dict(num_feats=8),
            bbox_head=dict(num_classes=3, embed_dims=16),
            test_cfg=dict(max_per_img=10),
        ),
    ),
}


def stock_config(name: str) -> Config:
    """One of mmdet's configs, made narrow."""
    path, changes = STOCK[name]
    cfg = get_config(f'mmdet::{path}')
    cfg.merge_from_dict({'model': changes, 'test_dataloader.dataset.pipeline': PIPELINE})
    return cfg


def write_image(folder, size=(64, 48)) -> str:
    """A random image of a width and height."""
    noise = np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), np.uint8)
    path = str(folder / 'noise.png')
    cv2.imwrite(path, noise)
    return path


def stock_detector(name: str, folder):
    """A detector with random weights, and an image of 64 x 48 pixels for it."""
    cfg = stock_config(name)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    return model, load_subject(model, cfg, write_image(folder))
