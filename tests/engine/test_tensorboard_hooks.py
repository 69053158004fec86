"""What the hooks write to TensorBoard, read back from its event files."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from mmengine.visualization import LocalVisBackend, TensorboardVisBackend
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.pr_curve.plugin_data_pb2 import PrCurvePluginData
from tensorboard.util.tensor_util import make_ndarray
from torch import nn

from mmdet_ext.engine.hooks import (
    TensorboardChartsHook,
    TensorboardGraphHook,
    TensorboardPRCurveHook,
)
from mmdet_ext.engine.hooks.tensorboard_pr_curve_hook import pr_counts
from mmdet_ext.evaluation.functional.outcomes import Outcome
from mmdet_ext.evaluation.functional.precision_recall import operating_point


class Detector(BaseModel):
    """A backbone whose norm is frozen, an output of nested parts, and a count of its calls."""

    def __init__(self, error=None):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.error = error
        self.shapes, self.samples = [], []

    def train(self, mode=True):
        super().train(mode)
        self.norm.training = False
        return self

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.shapes.append(tuple(map(int, inputs.shape)))
        self.samples.append(data_samples)
        if self.error:
            raise self.error
        assert mode == 'tensor'
        x = self.drop(self.norm(self.conv(inputs)))
        return {'maps': (x, [x.mean()]), 'sizes': x.shape[0]}


class Log(list):
    def warning(self, sentence):
        self.append(sentence)


class Run(SimpleNamespace):
    """What the hooks see of a runner, with a TensorBoard backend unless told otherwise."""

    def __init__(self, folder, loop=EpochBasedTrainLoop, model=None, backends=None, metrics=()):
        self.backend = TensorboardVisBackend(str(folder))
        backends = [LocalVisBackend(str(folder)), self.backend] if backends is None else backends
        super().__init__(
            visualizer=SimpleNamespace(_vis_backends=dict(enumerate(backends))),
            _train_loop=loop and loop.__new__(loop),
            iter=40, epoch=3, model=model, logger=Log(), folder=folder,
            val_loop=SimpleNamespace(evaluator=SimpleNamespace(metrics=metrics)),
        )  # fmt: skip
        self.train_loop = self._train_loop

    def events(self):
        self.backend.close()
        return EventAccumulator(str(self.folder), size_guidance={'tensors': 0}).Reload()


def batch(count=2):
    inputs = [torch.full((3, 8, 8), k) for k in range(count)]
    return {
        'inputs': torch.stack(inputs).float(),
        'data_samples': [f'sample {k}' for k in range(count)],
    }


def other_rank(monkeypatch):
    monkeypatch.setattr('mmengine.dist.utils.get_rank', lambda group=None: 1)


def test_the_graph_has_the_operations_of_the_model_under_its_name(tmp_path):
    run = Run(tmp_path, model=Detector())
    TensorboardGraphHook().before_train_iter(run, 0, batch())
    graph = GraphDef.FromString(run.events().Graph().SerializeToString())
    operations = {node.name: node.op for node in graph.node}
    assert 'aten::_convolution' in operations.values()
    assert 'aten::batch_norm' in operations.values()
    assert any('Detector/' in name for name in operations)
    assert run.logger == []


def test_the_graph_is_traced_once_with_one_image_and_its_sample(tmp_path):
    run, hook = Run(tmp_path, model=Detector()), TensorboardGraphHook()
    hook.before_train_iter(run, 0, batch())
    calls = len(run.model.shapes)
    assert set(run.model.shapes) == {(1, 3, 8, 8)}
    assert all(samples == ['sample 0'] for samples in run.model.samples)
    hook.before_train_iter(run, 1, batch())
    assert len(run.model.shapes) == calls


def test_tracing_leaves_modes_statistics_gradients_and_random_numbers_alone(tmp_path):
    model, data = Detector().train(), batch()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    TensorboardGraphHook().before_train_iter(Run(tmp_path, model=model), 0, data)
    assert [m.training for m in (model, model.conv, model.norm, model.drop)] == [
        True, True, False, True,
    ]  # fmt: skip
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name])
    assert data['data_samples'] == ['sample 0', 'sample 1']


@pytest.mark.parametrize('error', [RuntimeError('cannot trace\nthis'), TypeError('no samples')])
def test_a_model_that_cannot_be_traced_costs_one_warning(tmp_path, capsys, error):
    run, hook = Run(tmp_path, model=Detector(error)), TensorboardGraphHook()
    hook.before_train_iter(run, 0, batch())
    hook.before_train_iter(run, 1, batch())
    first = str(error).partition('\n')[0]
    assert run.logger == [
        'The graph of Detector is not in TensorBoard, for it cannot be traced: '
        f'{type(error).__name__}: {first}'
    ]
    assert capsys.readouterr().out == ''


def test_batches_of_another_form_cost_one_warning_too(tmp_path):
    run = Run(tmp_path, model=Detector())
    TensorboardGraphHook().before_train_iter(run, 0, {'inputs': {'sup': [], 'unsup': []}})
    assert len(run.logger) == 1


OUTCOME = Outcome(
    scores=np.array([0.95, 0.9, 0.6, 0.6, 0.305, 0.0]),
    hits=np.array([1, 1, 0, 1, 1, 0], bool),
    num_truths=5,
)


def test_the_counts_at_each_threshold_are_those_of_the_predictions_that_reach_it():
    thresholds = np.array([0, 0.3, 0.6, 0.61, 0.95, 0.96])
    true, false, negatives, missed, precision, recall = pr_counts(OUTCOME, thresholds)
    assert true.tolist() == [4, 4, 3, 2, 1, 0]
    assert false.tolist() == [2, 1, 1, 0, 0, 0]
    assert negatives.tolist() == [0] * 6
    assert missed.tolist() == [1, 1, 2, 3, 4, 5]
    for k, threshold in enumerate(thresholds[:-1]):
        point = operating_point(OUTCOME.scores, OUTCOME.hits, OUTCOME.num_truths, threshold)
        assert (precision[k], recall[k]) == (point['precision'], point['recall'])
    assert (precision[-1], recall[-1]) == (0, 0)


def test_without_predictions_or_truths_all_is_nought():
    assert not pr_counts(Outcome(np.zeros(0), np.zeros(0, bool), 0)).any()


@pytest.mark.parametrize(('loop', 'step'), [
    (EpochBasedTrainLoop, 3), (IterBasedTrainLoop, 40), (None, 0),
])  # fmt: skip
def test_each_metric_has_its_curve_at_the_epoch_or_iteration(tmp_path, loop, step):
    metrics = [
        SimpleNamespace(outcomes={'slot': OUTCOME, 'point': OUTCOME}),
        SimpleNamespace(),  # of mmdet
    ]
    run = Run(tmp_path, loop, metrics=metrics)
    TensorboardPRCurveHook().after_val_epoch(run, {})
    events = run.events()
    assert sorted(events.Tags()['tensors']) == ['point/precision_recall', 'slot/precision_recall']
    (event,) = events.Tensors('slot/precision_recall')
    assert event.step == step
    curve = make_ndarray(event.tensor_proto)
    assert curve.shape == (6, 101)
    np.testing.assert_allclose(curve, pr_counts(OUTCOME, np.linspace(0, 1, 101)), rtol=1e-6)
    assert curve[:, 60].tolist() == pytest.approx([3, 1, 0, 2, 0.75, 0.6])
    plugin = events.SummaryMetadata('slot/precision_recall').plugin_data
    assert plugin.plugin_name == 'pr_curves'
    assert PrCurvePluginData.FromString(plugin.content).num_thresholds == 101


TAGS = (
    'loss', 'loss_cls', 'd0.loss_bbox', 'train/loss', 'lr', 'base_lr', 'train/lr', 'time', 'epoch',
    'slot/f1', 'slot/f1@night', 'slot/precision', 'slot/precision@night', 'slot/map_polygon',
    'slot/corner_error_px', 'slot/corner_error_cm', 'point/ap', 'val/point/recall', 'point/error_px',
    'coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/segm_mAP_m', 'grad_norm',
)  # fmt: skip


def test_charts_put_together_what_belongs_together(tmp_path):
    run = Run(tmp_path)
    TensorboardChartsHook().before_train(run)
    (event,) = run.events().Tensors('custom_scalars__config__')
    layout = Layout.FromString(make_ndarray(event.tensor_proto).item())
    found = {
        chart.title: [tag for tag in TAGS if re.match(chart.multiline.tag[0], tag)]
        for category in layout.category
        for chart in category.chart
    }
    assert [category.title for category in layout.category] == ['Training', 'Validation']
    assert found == {
        'Losses': ['loss', 'loss_cls', 'd0.loss_bbox', 'train/loss'],
        'Learning rates': ['lr', 'base_lr', 'train/lr'],
        'Slots': ['slot/f1', 'slot/precision', 'slot/map_polygon'],
        'Slot F1 by condition': ['slot/f1', 'slot/f1@night'],
        'Slot localisation': ['slot/corner_error_px'],
        'Marking points': ['point/ap', 'val/point/recall'],
        'COCO mAP': ['coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/segm_mAP_m'],
    }


def test_charts_of_ones_own_take_the_place_of_ours(tmp_path):
    run = Run(tmp_path)
    TensorboardChartsHook({'Mine': {'Rates': ['lr', 'grad_norm']}}).before_train(run)
    (event,) = run.events().Tensors('custom_scalars__config__')
    (category,) = Layout.FromString(make_ndarray(event.tensor_proto).item()).category
    assert (category.title, category.chart[0].title) == ('Mine', 'Rates')
    assert list(category.chart[0].multiline.tag) == ['lr', 'grad_norm']


def run_hooks(run):
    TensorboardChartsHook().before_train(run)
    TensorboardGraphHook().before_train_iter(run, 0, batch())
    TensorboardPRCurveHook().after_val_epoch(run)


def test_without_a_tensorboard_backend_nothing_happens(tmp_path):
    run = Run(tmp_path, model=Detector(), backends=[LocalVisBackend(str(tmp_path))])
    run_hooks(run)
    assert run.model.shapes == []
    assert not list(tmp_path.iterdir())


def test_other_ranks_write_nothing(tmp_path, monkeypatch):
    other_rank(monkeypatch)
    run = Run(tmp_path, model=Detector(), metrics=[SimpleNamespace(outcomes={'slot': OUTCOME})])
    run_hooks(run)
    assert run.model.shapes == []
    assert not list(tmp_path.iterdir())
