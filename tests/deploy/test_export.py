"""From a detector to a file that says what torch says."""

import logging
import os

import cv2
import numpy as np
import onnx
import pytest
import torch
from torch import nn

from mmdet_ext.apis.torch_engine import READY_CONFIG, ready_checkpoint
from mmdet_ext.deploy import exporting, onnx_export
from mmdet_ext.deploy.exporting import export
from mmdet_ext.deploy.onnx_export import write_onnx
from mmdet_ext.deploy.parity import as_torch_says, compare
from mmdet_ext.deploy.parking_slot_graph import ParkingSlotGraph
from mmdet_ext.deploy.runtime import OnnxEngine

has_dynamo = hasattr(torch, 'export') and hasattr(torch.export, 'Dim')
needs_dynamo = pytest.mark.skipif(not has_dynamo, reason='the exporter of this torch is too old')


def test_the_file_takes_uint8_batches_and_uses_operators_that_all_runtimes_have(exported):
    model = onnx.load(str(exported))
    images = model.graph.input[0]
    shape = images.type.tensor_type.shape.dim
    assert images.name == 'images'
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert shape[0].dim_param
    assert [each.dim_value for each in shape[1:]] == [320, 320, 3]
    assert [each.name for each in model.graph.output] == [
        *('corners', 'labels', 'scores', 'occupied_scores'),
        *('points', 'point_scores', 'directions', 'shapes'),
    ]
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {'GridSample', 'If', 'Loop', 'Scan', 'NonZero'}
    assert {node.domain for node in model.graph.node} <= {'', 'ai.onnx'}
    assert exported.stat().st_size < 8e6


def test_the_file_says_what_it_is(exported):
    said = OnnxEngine(exported).model
    assert said.kind == 'parking_slots'
    assert said.classes == ['perpendicular', 'parallel', 'slanted']
    assert said.input_size == said.network_size == [320, 320]
    np.testing.assert_allclose(said.mean, [103.53, 116.28, 123.675], rtol=1e-5)
    assert (said.score_threshold, said.entrance_margin) == (0.05, 5.0)
    assert f'torch {torch.__version__}' in said.exporter
    assert len(said.config_sha256) == 64


def test_it_says_what_torch_says(exported, graph, scenes):
    engine = OnnxEngine(exported)
    parity = compare(engine, as_torch_says(engine, graph), scenes)
    assert parity.objects > 10
    assert parity.is_kept()


@needs_dynamo
@pytest.mark.parametrize('options', [dict(any_size=True), dict(input_size=(512, 400))])
def test_images_are_resized_inside(ready, exported, scenes, tmp_path, options):
    cfg, model, meta = ready
    graph = ParkingSlotGraph(model, cfg, meta, **options).eval()
    write_onnx(graph, tmp_path / 'x.onnx')
    engine, outside = OnnxEngine(tmp_path / 'x.onnx'), OnnxEngine(exported)
    images = scenes if graph.any_size else scenes[1:2]
    parity = compare(engine, as_torch_says(engine, graph), images)
    assert parity.objects >= 4
    assert parity.is_kept()
    gaps = []  # antialiased inside, as in training outside: close, not equal
    for image in images:
        ours, theirs = engine(image)[0].above(0.2).points, outside(image)[0].above(0.4).points
        gaps += [np.abs(ours - point).max(-1).min() for point in theirs if len(ours)]
    assert len(gaps) >= 4
    assert np.median(gaps) < 1.0


def test_raw_maps_are_those_of_the_head(ready, scenes, tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    cfg, model, meta = ready
    graph = ParkingSlotGraph(model, cfg, meta, raw=True).eval()
    write_onnx(graph, tmp_path / 'raw.onnx')
    images = np.ascontiguousarray(scenes[0][None, :320, :320])
    session = onnxruntime.InferenceSession(str(tmp_path / 'raw.onnx'))
    outputs = session.run(['point_maps', 'slot_maps'], {'images': images})
    with torch.no_grad():
        inputs = (
            torch.from_numpy(images).permute(0, 3, 1, 2).float()
            - torch.tensor([103.53, 116.28, 123.675]).view(3, 1, 1)
        ) / torch.tensor([57.375, 57.12, 58.395]).view(3, 1, 1)
        expected = model.bbox_head(model.extract_feat(inputs))
    for ours, theirs in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-3)


def test_what_torchs_exporter_cannot_do_the_older_one_may(graph, tmp_path, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError('no such operator\nand much more')

    monkeypatch.setattr(onnx_export, '_with_dynamo', fail)
    monkeypatch.setattr(logging.getLogger('mmengine'), 'propagate', True)
    with caplog.at_level(logging.WARNING):
        described = write_onnx(graph, tmp_path / 'x.onnx')
    assert 'dynamo=False' in described.exporter
    assert 'cannot do it (no such operator): falling back to TorchScript' in caplog.text
    cfg_of = ParkingSlotGraph(graph.model, graph._cfg, {}, any_size=True)
    with pytest.raises(ValueError, match=r'no such operator.*export for the size of the network'):
        write_onnx(cfg_of, tmp_path / 'y.onnx')
    assert not (tmp_path / 'y.onnx').exists()


def test_an_operator_that_not_every_runtime_has_is_named(graph, tmp_path):
    class Warped(nn.Module):
        """Looks at images through a grid."""

        any_size, input_size, network_size = False, (8, 8), (8, 8)
        input_names, output_names = ('images',), ('warped',)

        def forward(self, images):
            x = images.permute(0, 3, 1, 2).float()
            grid = nn.functional.affine_grid(
                torch.eye(2, 3)[None].expand(len(x), 2, 3), [2, 3, 8, 8]
            )
            return nn.functional.grid_sample(x[:2], grid[:2])

        def describe(self, exporter):
            return graph.describe(exporter)

    with pytest.raises(ValueError, match='needs GridSample, which not every runtime has'):
        write_onnx(Warped(), tmp_path / 'x.onnx')


def test_a_step_of_the_pipeline_that_no_file_can_hold_is_named(ready):
    cfg, model, meta = ready
    odd = cfg.copy()
    odd.test_pipeline = [*cfg.test_pipeline, dict(type='Albu')]
    with pytest.raises(
        ValueError, match='`test_pipeline` has Albu, which an exported file cannot do'
    ):
        ParkingSlotGraph(model, odd, meta)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(out='x.pt'), 'does not end in .onnx'),
        (dict(dynamic=True, input_size=(9, 9)), 'leave out one of them'),
        (dict(input_size=(600, 4)), 'from 8 pixels up'),
        (dict(raw=True, half=True), 'the maps of a head are not compressed'),
        (dict(int8='nowhere'), 'no folder nowhere with images'),
    ],
)
def test_options_that_do_not_fit_are_told_at_once(options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        export('no.py', 'no.pth', **{'out': 'x.onnx', **options})


def test_the_whole_way_is_told_step_by_step(graph, scenes, tmp_path, monkeypatch):
    folder = tmp_path / 'images'
    folder.mkdir()
    for i, scene in enumerate(scenes):
        cv2.imwrite(str(folder / f'{i}.png'), scene)
    monkeypatch.setattr(exporting, '_KEPT', (0, 1))
    monkeypatch.setattr(exporting, '_labelled', lambda *_: None)
    said, out = [], tmp_path / 'out/x.onnx'
    done = export(
        READY_CONFIG, ready_checkpoint(), out, half=True, int8=str(folder), say=said.append
    )
    names = sorted(os.listdir(tmp_path / 'out'))
    assert names == ['x.onnx', 'x_fp16.onnx', 'x_int8.onnx']
    assert done.parity.images == 4 + 3  # scenes of its own, and these
    assert done.accuracies['fp32'].f1 == 1
    assert done.accuracies['fp16'].f1 > 0.9
    text = '\n'.join(said)
    assert 'what the fp32 file finds in 3 images, for want of labels' in text
    assert 'as torch has it: ' in text
    assert 'int8, last 0 layers in fp32: slot F1' in text


def test_a_file_that_departs_from_torch_is_refused(exported, graph, scenes, monkeypatch):
    monkeypatch.setattr(graph, '_order', [2, 1, 0])
    with pytest.raises(ValueError, match=r'departs from torch .* it is not to be used'):
        exporting._check_parity(OnnxEngine(exported), graph, scenes)


def test_a_folder_that_cannot_be_written_is_told(graph, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match='file'):
        write_onnx(graph, tmp_path / 'file/x.onnx')
