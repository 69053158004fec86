"""Compressed files are smaller and still right."""

import numpy as np
import onnx
import pytest

from mmdet_ext.deploy.accuracy import LabelledImages
from mmdet_ext.deploy.compression import (
    decoding_nodes,
    first_good,
    last_convolutions,
    write_half,
    write_int8,
)
from mmdet_ext.deploy.runtime import OnnxEngine

# Two heads on one trunk; what comes after a head is decoding.
TWO_HEADS = """
<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1, 1, 8, 8] x, float[1, 1, 1, 1] w) => (float[1, 1, 8, 8] p, float[1, 1, 8, 8] q) {
   [trunk] a = Conv(x, w)
   [act] b = Relu(a)
   [deep] c = Conv(b, w)
   [left] d = Conv(c, w)
   [right] e = Conv(b, w)
   [decode] p = Sigmoid(d)
   [sum] q = Add(e, p)
}
"""


def test_layers_are_counted_from_the_outputs():
    graph = onnx.parser.parse_model(TWO_HEADS).graph
    for node, name in zip(
        graph.node, ('trunk', 'act', 'deep', 'left', 'right', 'decode', 'sum'), strict=True
    ):
        node.name = name
    assert last_convolutions(graph, 0) == []
    assert sorted(last_convolutions(graph, 1)) == ['left', 'right']
    assert sorted(last_convolutions(graph, 2)) == ['deep', 'left', 'right']
    assert sorted(node.name for node in decoding_nodes(graph)) == ['decode', 'sum']


def test_half_precision_halves_the_file_and_keeps_the_slots(exported, scenes, tmp_path):
    write_half(exported, tmp_path / 'half.onnx')
    assert (tmp_path / 'half.onnx').stat().st_size < 0.52 * exported.stat().st_size
    half, whole = OnnxEngine(tmp_path / 'half.onnx'), OnnxEngine(exported)
    assert half.model.precision == 'fp16'
    for image in scenes:
        ours, theirs = half(image)[0].above(0.3), whole(image)[0].above(0.3)
        assert len(ours.scores) == len(theirs.scores)
        np.testing.assert_allclose(ours.corners, theirs.corners, atol=0.5)
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=0.01)


def test_positions_do_not_pass_through_half_precision(exported, tmp_path):
    # float16 has steps of a quarter pixel beyond 256; neighbouring steps would all be multiples.
    write_half(exported, tmp_path / 'half.onnx')
    positions = OnnxEngine(tmp_path / 'half.onnx').run(np.zeros((1, 320, 320, 3), np.uint8))[4]
    assert (positions.astype(np.float16) != positions).mean() > 0.5


def test_integers_cut_the_file_to_a_third_and_keep_the_slots(exported, scenes, tmp_path):
    write_int8(exported, tmp_path / 'int8.onnx', scenes, kept=1)
    assert (tmp_path / 'int8.onnx').stat().st_size < 0.34 * exported.stat().st_size
    engine = OnnxEngine(tmp_path / 'int8.onnx')
    assert engine.model.precision == 'int8'
    known = LabelledImages.as_found_by(OnnxEngine(exported), scenes, tmp_path)
    accuracy = known.measure(engine)
    assert accuracy.f1 > 0.7
    assert 0 < accuracy.corner_error < 3
    same = known.measure(OnnxEngine(exported))
    assert same.f1 == 1
    assert same.corner_error < 0.01


@pytest.mark.parametrize(('costs', 'best'), [([5, 1, 0], 1), ([5, 3, 4], 1), ([1, 9, 9], 0)])
def test_the_first_that_costs_little_is_taken_or_the_cheapest(costs, best):
    assert first_good(range(3), costs.__getitem__, 1) == (best, costs[best])
