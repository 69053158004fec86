"""Stock single-stage detectors as graphs, beside mmdet's own predictions."""

import json
import re
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from tiny_detectors import (
    HEADS,
    SIZE,
    images,
    predictions,
    tiny_config,
    tiny_detector,
    write_quickly,
)
from torch import nn

from mmdet_ext.deploy.onnx_export import write_onnx
from mmdet_ext.deploy.stock_detectors import StockDetectorGraph, check_exportable, fit_of_pipeline

NAMED = ('RetinaNet', 'FCOS', 'YOLOX', 'RTMDet')


def graph_of(name: str, model: nn.Module) -> StockDetectorGraph:
    return StockDetectorGraph(model, tiny_config(name)).eval()


def assert_same(outputs, expected) -> None:
    """Boxes, scores and labels ``(B, K, ...)`` are what mmdet found, the rest is padding."""
    for boxes, scores, labels, all_found in zip(*map(np.asarray, outputs), expected, strict=True):
        found = all_found[: len(scores)]
        count = len(found)
        assert count > 10  # or nothing is compared
        np.testing.assert_allclose(boxes[:count], found.bboxes, rtol=1e-4, atol=0.01)
        np.testing.assert_allclose(scores[:count], found.scores, atol=1e-5)
        np.testing.assert_array_equal(labels[:count], found.labels)
        for padding in (boxes[count:], scores[count:], labels[count:]):
            assert not padding.any()


@pytest.mark.parametrize('name', HEADS)
def test_a_graph_finds_in_each_image_what_mmdet_finds(name):
    model, batch = tiny_detector(name), images(3)
    with torch.no_grad():
        outputs = graph_of(name, model)(torch.from_numpy(batch))
    assert_same(outputs, predictions(model, batch))


@pytest.mark.parametrize('name', NAMED)
def test_onnxruntime_finds_what_mmdet_finds_in_batches_of_another_size(name, tmp_path):
    model, batch = tiny_detector(name), images(3)
    write_quickly(graph_of(name, model), tmp_path / 'detector.onnx')
    session = onnxruntime.InferenceSession(str(tmp_path / 'detector.onnx'))
    assert_same(session.run(None, {'images': batch}), predictions(model, batch))
    alone = session.run(None, {'images': batch[:1]})
    assert_same(alone, predictions(model, batch[:1]))


def test_the_exported_file_has_one_standard_suppression_and_no_control_flow(tmp_path):
    model, batch = tiny_detector('YOLOX'), images(3)
    write_onnx(graph_of('YOLOX', model), tmp_path / 'detector.onnx')
    nodes = onnx.load(str(tmp_path / 'detector.onnx')).graph.node
    kinds = Counter(node.op_type for node in nodes)
    assert kinds['NonMaxSuppression'] == 1
    assert not {'If', 'Loop', 'Scan', 'NonZero'} & set(kinds)
    assert {node.domain for node in nodes} <= {'', 'ai.onnx'}
    session = onnxruntime.InferenceSession(str(tmp_path / 'detector.onnx'))
    assert_same(session.run(None, {'images': batch}), predictions(model, batch))


def test_no_more_than_max_per_img_come_out_the_best_first():
    model = tiny_detector('RetinaNet', max_per_img=7)
    all_found = predictions(tiny_detector('RetinaNet'), images(1))[0]
    with torch.no_grad():
        boxes, scores, labels = graph_of('RetinaNet', model)(torch.from_numpy(images(1)))
    assert boxes.shape == (1, 7, 4)
    assert scores.shape == labels.shape == (1, 7)
    np.testing.assert_allclose(scores[0], all_found.scores[:7], atol=1e-5)


def test_an_image_without_anything_gives_zeros():
    model = tiny_detector('FCOS', score_thr=0.9999)
    with torch.no_grad():
        outputs = graph_of('FCOS', model)(torch.from_numpy(images(2)))
    assert [output.abs().max().item() for output in outputs] == [0, 0, 0]


def test_an_input_that_is_no_multiple_of_the_divisor_is_padded_after_normalisation():
    size = (90, 60)
    model, batch = tiny_detector('RetinaNet'), images(2, size=size)
    graph = StockDetectorGraph(model, stretching(size)).eval()
    assert graph.input_size == size
    with torch.no_grad():
        outputs = graph(torch.from_numpy(batch))
    assert_same(outputs, predictions(model, batch))


def stretching(size: tuple[int, int]) -> Config:
    steps = [dict(type='Resize', scale=size), dict(type='PackDetInputs')]
    return Config(dict(test_pipeline=steps))


def test_the_file_says_its_classes_and_its_normalisation_in_the_order_of_the_image():
    meta = dict(classes=('car', 'bus', 'tram'), palette=[(1, 2, 3), (4, 5, 6), (7, 8, 9)])
    graph = StockDetectorGraph(tiny_detector('FCOS'), tiny_config('FCOS'), meta)
    described = graph.describe('by hand')
    assert described.kind == 'boxes'
    assert described.classes == meta['classes']
    assert described.palette == meta['palette']
    assert described.input_size == described.network_size == SIZE
    assert described.mean == pytest.approx((103.53, 116.28, 123.675))  # the config's, RGB, reversed
    assert described.std == pytest.approx((57.375, 57.12, 58.395))
    assert described.exporter == 'by hand'
    assert (described.placement, described.padding) == ('top_left', (104, 116, 124))
    json.dumps(described.to_metadata())


def test_classes_without_names_are_numbered():
    described = StockDetectorGraph(tiny_detector('FCOS'), tiny_config('FCOS')).describe('')
    assert described.classes == ('0', '1', '2')
    assert len(described.palette) == 3


PREPROCESSOR = dict(type='DetDataPreprocessor', mean=[124, 116, 104], std=[58, 57, 57])


@pytest.mark.parametrize(
    ('steps', 'preprocessor', 'size', 'keep_ratio', 'pad_value'),
    [
        # RetinaNet: padded to multiples of 32 with zeros after normalisation, that is the mean.
        (
            [dict(type='Resize', scale=(1333, 800), keep_ratio=True)],
            PREPROCESSOR | dict(bgr_to_rgb=True, pad_size_divisor=32),
            (1344, 800),
            True,
            (104, 116, 124),
        ),
        # RTMDet and YOLOX: padded with grey before.
        (
            [
                dict(type='Resize', scale=(640, 640), keep_ratio=True),
                dict(type='Pad', size=(640, 640), pad_val=dict(img=(114, 114, 114))),
            ],
            PREPROCESSOR,
            (640, 640),
            True,
            (114, 114, 114),
        ),
        # SSD: stretched.
        (
            [dict(type='Resize', scale=(300, 300), keep_ratio=False)],
            PREPROCESSOR,
            (300, 300),
            False,
            (124, 116, 104),
        ),
    ],
)
def test_the_test_pipeline_says_how_an_image_becomes_the_input(
    steps, preprocessor, size, keep_ratio, pad_value
):
    load = [dict(type='LoadImageFromFile'), *steps, dict(type='PackDetInputs')]
    built = MODELS.build(dict(preprocessor))
    fit = fit_of_pipeline(Config(dict(test_pipeline=load)), built)
    assert (fit.size, fit.keep_ratio, fit.pad_value) == (size, keep_ratio, pad_value)


def test_a_test_pipeline_with_another_step_is_refused_by_its_name():
    cfg = tiny_config('FCOS')
    cfg.test_pipeline.insert(0, dict(type='CenterCrop', crop_size=(32, 32)))
    with pytest.raises(ValueError, match='a step CenterCrop, which would be missing'):
        StockDetectorGraph(tiny_detector('FCOS'), cfg)


def test_soft_suppression_is_refused():
    with pytest.raises(
        ValueError, match=r"test_cfg.nms is \{'type': 'soft_nms'.*plain suppression"
    ):
        graph_of('FCOS', tiny_detector('FCOS', nms=dict(type='soft_nms', iou_threshold=0.5)))


@pytest.mark.parametrize(
    ('path', 'reason'),
    [
        (
            'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
            'FasterRCNN cannot be exported: its `roi_head`, a StandardRoIHead, looks at proposals',
        ),
        (
            'detr/detr_r50_8xb2-150e_coco.py',
            'DETR cannot be exported: its `decoder`, a DetrTransformerDecoder, is a transformer',
        ),
        (
            'vfnet/vfnet_r50_fpn_1x_coco.py',
            'VFNet cannot be exported: its `bbox_head.vfnet_reg_refine_dconv` is a DeformConv2d of mmcv.ops',
        ),
        (
            'paa/paa_r50_fpn_1x_coco.py',
            'PAA cannot be exported: its `bbox_head`, a PAAHead, makes boxes in a way of its own',
        ),
    ],
)
def test_what_cannot_be_exported_says_which_module_and_why(path, reason):
    init_default_scope('mmdet')
    model = MODELS.build(get_config(f'mmdet::{path}').model)
    with pytest.raises(ValueError, match=re.escape(reason)):
        check_exportable(model)
