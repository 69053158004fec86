"""Timing of engines: what is measured, how it is summed up, and how it is shown."""

import json
import time
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
from tiny_detectors import images, tiny_config, tiny_detector, write_quickly

from mmdet_ext.deploy.benchmark import (
    Candidate,
    Timing,
    benchmark_engines,
    cold_start,
    reference_of,
)
from mmdet_ext.deploy.benchmark_engines import (
    TorchGraphEngine,
    candidates_of,
    network_candidate,
    write_network_part,
)
from mmdet_ext.deploy.benchmark_reference import DMPRPSGraph
from mmdet_ext.deploy.benchmark_results import timing_figure, timing_rows, timing_table
from mmdet_ext.deploy.runtime import OnnxEngine
from mmdet_ext.deploy.stock_detectors import StockDetectorGraph


class SleepingEngine:
    """Takes 4 ms for the network and 2 ms for each image's findings; notes the batches that it sees."""

    def __init__(self) -> None:
        self.batches = []

    def prepare(self, image):
        return SimpleNamespace(pixels=image)

    def run(self, batch):
        self.batches.append(batch.shape)
        time.sleep(0.004)
        return [np.arange(len(batch))]

    def finish(self, outputs, prepared):
        assert outputs[0].ndim == 0  # the batch is gone
        time.sleep(0.002)


def candidate(name='a', runtime='onnxruntime', engine=None, reference=False) -> Candidate:
    return Candidate(name, runtime, 'fp32', lambda threads: engine or SleepingEngine(), reference)


PICTURES = [np.zeros((6, 8, 3), np.uint8)] * 3


def test_network_and_findings_are_timed_apart_for_a_whole_batch():
    (timing,) = benchmark_engines([candidate()], PICTURES, batch_sizes=[5], rounds=3)
    assert len(timing.prepare) == len(timing.run) == len(timing.finish) == 3
    assert 4 <= np.median(timing.run) < 40
    assert 10 <= np.median(timing.finish) < 100
    assert timing.latency == pytest.approx(sorted(timing.totals)[1])
    assert timing.first >= 6  # its network and its one image


def test_images_are_repeated_to_fill_a_batch_and_two_rounds_go_uncounted():
    engine = SleepingEngine()
    benchmark_engines([candidate(engine=engine)], PICTURES, batch_sizes=[1, 4], rounds=1)
    first, *rest = engine.batches
    assert first == (1, 6, 8, 3)
    assert rest == [(1, 6, 8, 3), (4, 6, 8, 3)] * 3


def test_each_number_of_threads_is_measured_with_each_batch_size_and_a_reference_with_the_least():
    timings = benchmark_engines(
        [candidate(), candidate('r', reference=True)], PICTURES, [2, 1], [1, 2], rounds=1
    )
    found = [(t.candidate.model, t.threads, t.batch) for t in timings]
    own = [('a', threads, batch) for threads in (1, 2) for batch in (2, 1)]
    assert found == [*own, ('r', 1, 1), ('r', 2, 1)]


def test_without_engines_there_is_nothing_to_measure():
    with pytest.raises(ValueError, match='no engine or no image to measure with'):
        benchmark_engines([], PICTURES)


def timing(name, runs, batch=1, threads=1, runtime='onnxruntime', reference=False) -> Timing:
    zeros = [0.0] * len(runs)
    of = candidate(name, runtime, reference=reference)
    return Timing(of, threads, batch, 50.0, 20.0, zeros, list(runs), zeros)


def test_throughput_and_quartiles_are_of_the_totals():
    found = timing('a', [10.0, 20.0, 30.0, 40.0, 50.0], batch=3)
    assert found.latency == 30
    assert found.spread == (20, 40)
    assert found.throughput == 100  # 3 images in 30 ms


def test_a_busy_moment_that_hits_both_does_not_change_the_ratio():
    quiet, busy = timing('a', [10.0, 10.0, 30.0]), timing('r', [100.0, 100.0, 300.0])
    assert quiet.times_faster(busy) == 10


def test_the_reference_is_the_one_in_the_same_runtime_or_else_the_first():
    onnx = timing('r', [1.0], reference=True)
    eager = timing('r', [2.0], runtime='torch', reference=True)
    everything = [onnx, eager]
    assert reference_of(timing('a', [1.0], runtime='torch'), everything) is eager
    assert reference_of(timing('a', [1.0], runtime='openvino'), everything) is onnx
    assert reference_of(timing('a', [1.0], batch=4), everything) is None


def test_the_rows_the_table_and_the_figure_show_every_timing():
    timings = [
        timing('a', [10.0, 12.0]),
        timing('a', [30.0, 34.0], batch=4),
        timing('r', [110.0, 132.0], reference=True),
    ]
    rows = json.loads(json.dumps(timing_rows(timings)))
    assert [row['latency'] for row in rows] == [11, 32, 121]
    assert [row['x'] for row in rows] == [pytest.approx(11), None, pytest.approx(1)]
    assert timing_table(timings).row_count == 3
    figure = timing_figure(timings)
    (label,) = [text.get_text() for text in figure.axes[0].texts]
    assert label == '11.0, 11.0 x'
    (line,) = figure.axes[1].get_lines()
    np.testing.assert_allclose(line.get_xydata(), [[1, 1e3 / 11], [4, 4e3 / 32]])


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """A detector as a graph, and the file of it."""
    path = tmp_path_factory.mktemp('deploy') / 'tiny.onnx'
    graph = StockDetectorGraph(tiny_detector('YOLOX'), tiny_config('YOLOX')).eval()
    write_quickly(graph, path)
    return graph, path


def test_torch_and_onnxruntime_run_the_same_detector(exported):
    graph, path = exported
    threads, batch = torch.get_num_threads(), images(2)
    try:
        ours = TorchGraphEngine(path, 1, graph)(list(batch))
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(ours, OnnxEngine(path, 1)(list(batch)), strict=True):
        assert len(one.scores) > 10
        np.testing.assert_allclose(one.boxes, other.boxes, atol=0.01)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)


def test_the_network_alone_gives_the_maps_of_the_head(exported, tmp_path):
    graph, path = exported
    write_network_part(path, tmp_path / 'part.onnx')
    session = onnxruntime.InferenceSession(str(tmp_path / 'part.onnx'))
    found = session.run(None, {'images': images(2)})
    with torch.no_grad():
        model = graph._model
        levels = model.bbox_head(model.extract_feat(graph._normalised(torch.from_numpy(images(2)))))
    expected = [level for kind in levels for level in kind]
    assert sorted(each.shape for each in found) == sorted(tuple(each.shape) for each in expected)
    total = sum(float(each.sum()) for each in expected)
    assert sum(float(each.sum()) for each in found) == pytest.approx(total, rel=1e-4)


def test_the_candidates_are_what_is_here_and_can_be_timed(exported, tmp_path):
    graph, path = exported
    candidates = candidates_of([path], ['onnxruntime'], graph)
    candidates.append(network_candidate(path, tmp_path))
    assert [(c.model, c.runtime, c.precision) for c in candidates] == [
        ('tiny', 'onnxruntime', 'fp32'),
        ('tiny, not decoded', 'onnxruntime', 'fp32'),
    ]
    timings = benchmark_engines(candidates, list(images(2)), rounds=1)
    assert all(timing.latency > 0 for timing in timings)


def test_an_unknown_runtime_and_torch_without_a_model_are_refused(exported):
    _, path = exported
    with pytest.raises(
        ValueError, match=r"no runtime 'tensorrt': choose from onnxruntime; openvino"
    ):
        candidates_of([path], ['tensorrt'])
    with pytest.raises(ValueError, match='torch needs the model itself: give its config'):
        candidates_of([path], ['torch'])


def test_a_cold_start_takes_a_process_of_its_own(exported, tmp_path):
    _, path = exported
    assert 0.05 < cold_start(path, images(1)[0], tmp_path, 1) < 60
    with pytest.raises(ValueError, match=r'a new process cannot run .*missing.onnx'):
        cold_start(tmp_path / 'missing.onnx', images(1)[0], tmp_path, 1)


def test_the_reference_is_as_published():
    graph = DMPRPSGraph().eval()
    # PCGNN's table of DMPR-PS: 30.3071 M parameters.
    assert sum(each.numel() for each in graph.parameters()) / 1e6 == pytest.approx(
        30.3071, abs=5e-4
    )
    with torch.no_grad():
        found = graph(torch.zeros(1, 512, 512, 3, dtype=torch.uint8))
    assert found.shape == (1, 6, 16, 16)
    assert found[:, :4].min() > 0
    assert found.abs().max() < 1
