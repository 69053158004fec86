"""Detectors of mmdet with its heads on a backbone of some layers, whose scores differ from place to place."""

import inspect
import io
import warnings

import cv2
import numpy as np
import onnx
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

SIZE = (96, 64)  # width, height
BACKBONE = dict(
    type='ResNet',
    depth=18,
    num_stages=2,
    strides=(1, 2),
    dilations=(1, 1),
    out_indices=(0, 1),
    base_channels=16,
)
STRIDES = [4, 8]
NORM = dict(type='GN', num_groups=4)
TOWER = dict(num_classes=3, in_channels=16, feat_channels=16, stacked_convs=1)
NECK = dict(type='FPN', in_channels=[16, 32], out_channels=16, num_outs=2, add_extra_convs=False)
ANCHORS = dict(
    type='AnchorGenerator', ratios=[1.0], octave_base_scale=8, scales_per_octave=1, strides=STRIDES
)
DELTAS = dict(type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2])
TEST = dict(
    nms_pre=300,
    min_bbox_size=0,
    score_thr=0.2,
    nms=dict(type='nms', iou_threshold=0.5),
    max_per_img=300,
)
POINTS = dict(type='MlvlPointGenerator', offset=0, strides=STRIDES)
QUALITY = dict(type='QualityFocalLoss', use_sigmoid=True)
HEADS = {
    'RetinaNet': dict(
        type='RetinaHead',
        anchor_generator=ANCHORS | dict(ratios=[0.5, 1.0, 2.0], scales_per_octave=3),
        bbox_coder=DELTAS,
    ),
    'FCOS': dict(
        type='FCOSHead', strides=STRIDES, norm_cfg=NORM, norm_on_bbox=True, center_sampling=True
    ),
    'RTMDet': dict(
        type='RTMDetSepBNHead',
        anchor_generator=POINTS,
        bbox_coder=dict(type='DistancePointBBoxCoder'),
        exp_on_reg=True,
        with_objectness=False,
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True),
    ),
    'YOLOX': dict(type='YOLOXHead', strides=STRIDES),
    'ATSS': dict(type='ATSSHead', anchor_generator=ANCHORS, bbox_coder=DELTAS, norm_cfg=NORM),
    'GFL': dict(type='GFLHead', anchor_generator=ANCHORS, loss_cls=QUALITY, norm_cfg=NORM),
    'FSAF': dict(
        type='FSAFHead',
        anchor_generator=ANCHORS,
        bbox_coder=dict(type='TBLRBBoxCoder', normalizer=4.0),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True),
    ),
    'FoveaBox': dict(
        type='FoveaHead', strides=STRIDES, base_edge_list=(16, 32), scale_ranges=((8, 32), (16, 64))
    ),
    'SSD': dict(
        type='PredictingSSDHead',
        in_channels=(16, 16),
        anchor_generator=dict(
            type='SSDAnchorGenerator',
            strides=STRIDES,
            ratios=[[2], [2, 3]],
            min_sizes=[16, 32],
            max_sizes=[32, 64],
        ),
        bbox_coder=DELTAS,
    ),
    'YOLOv3': dict(
        type='YOLOV3Head',
        in_channels=(16, 16),
        out_channels=(16, 16),
        featmap_strides=STRIDES,
        anchor_generator=dict(
            type='YOLOAnchorGenerator',
            strides=STRIDES,
            base_sizes=[[(10, 13), (16, 30)], [(30, 61), (62, 45)]],
        ),
    ),
}
"""By the detector's usual name."""


def head_cfg(name: str) -> dict:
    """The whole config of a head."""
    head = HEADS[name]
    if name in ('SSD', 'YOLOv3'):  # they have no tower
        return dict(num_classes=3) | head
    return TOWER | head


def tiny_config(name: str, **test_cfg) -> Config:
    """A config with a model and a test pipeline."""
    model = dict(
        type='YOLOX' if name == 'YOLOX' else 'SingleStageDetector',
        data_preprocessor=dict(
            type='DetDataPreprocessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
            pad_size_divisor=32,
        ),
        backbone=BACKBONE,
        neck=NECK,
        bbox_head=head_cfg(name),
        test_cfg=TEST | test_cfg,
    )
    resize = dict(type='Resize', scale=SIZE, keep_ratio=True)
    return Config(dict(model=model, test_pipeline=[resize, dict(type='PackDetInputs')]))


def tiny_detector(name: str, **test_cfg) -> nn.Module:
    """A detector with random weights, after it has seen the statistics of some images."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(tiny_config(name, **test_cfg).model)
    with torch.no_grad():
        for module in model.bbox_head.modules():
            if isinstance(module, nn.Conv2d):  # the stock initialisation says the same everywhere
                nn.init.normal_(module.weight, std=1.5 / module.weight[0].numel() ** 0.5)
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = None
        model.train()
        model.bbox_head(model.extract_feat(_inputs(model, images(4, seed=1))))
    return model.eval()


def images(count: int = 2, seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Blobs of colour, ``(count, H, W, 3)``, uint8."""
    noise = np.random.default_rng(seed).normal(size=(count, size[1], size[0], 3))
    blurred = np.stack([cv2.GaussianBlur(each, (0, 0), 3) for each in noise])
    return (128 + 60 * blurred / blurred.std()).clip(0, 255).astype(np.uint8)


def predictions(model: nn.Module, batch: np.ndarray) -> list:
    """What mmdet finds: ``pred_instances`` of each image."""
    size = batch.shape[1:3]
    samples = [
        DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)))
        for _ in batch
    ]
    with torch.no_grad():
        found = model.predict(_inputs(model, batch), samples)
    return [sample.pred_instances for sample in found]


def _inputs(model: nn.Module, batch: np.ndarray) -> torch.Tensor:
    tensors = list(torch.from_numpy(batch).permute(0, 3, 1, 2))
    return model.data_preprocessor({'inputs': tensors, 'data_samples': None})['inputs']


def write_quickly(graph: nn.Module, path) -> None:
    """Export by torch's older exporter, which takes a tenth of the time, for two images or another number."""
    target, names = io.BytesIO(), (*graph.input_names, *graph.output_names)
    example = torch.zeros(2, *graph.input_size[::-1], 3, dtype=torch.uint8)
    older = {'dynamo': False} if 'dynamo' in inspect.signature(torch.onnx.export).parameters else {}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            graph,
            (example,),
            target,
            input_names=list(graph.input_names),
            output_names=list(graph.output_names),
            dynamic_axes={name: {0: 'batch'} for name in names},
            opset_version=17,
            **older,
        )
    model = onnx.load_from_string(target.getvalue())
    onnx.helper.set_model_props(model, graph.describe('').to_metadata())
    onnx.save(model, str(path))
