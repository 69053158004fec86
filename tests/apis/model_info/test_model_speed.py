"""Durations by a clock that only the modules move, one second per unit of work."""

import pytest
import torch
from mmengine.model import BaseDataPreprocessor, BaseModel
from torch import nn

from mmdet_ext.apis.model_info import calls, speed
from mmdet_ext.apis.model_info.speed import measure_speed
from mmdet_ext.apis.model_info.subject import Subject


@pytest.fixture
def clock(monkeypatch):
    time = [0.0]
    for module in (calls, speed):
        monkeypatch.setattr(module, 'now_on', lambda device: time[0])
    return time


class Work(nn.Module):
    """Takes its time."""

    def __init__(self, clock, seconds):
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def forward(self, x):
        self.clock[0] += self.seconds
        return x


class Preprocessor(BaseDataPreprocessor):
    def __init__(self, clock):
        super().__init__()
        self.work = Work(clock, 3)

    def forward(self, data, training=False):
        self.work(None)
        return dict(inputs=torch.stack(data['inputs']).float(), data_samples=data['data_samples'])


class Head(nn.Module):
    """Reaches its layers as mmdet's heads do: ``forward`` is called directly."""

    def __init__(self, clock):
        super().__init__()
        self.convs = nn.ModuleList([Work(clock, 7), Work(clock, 7)])
        self.decoder = Work(clock, 20)

    def forward(self, x):
        for conv in self.convs:
            x = conv(x)
        return x

    def predict(self, x):
        return self.predict_by_feat(self.forward(x))

    def predict_by_feat(self, x):
        return self.decoder(x)


class Detector(BaseModel):
    """3 s preprocessing, 5 backbone, 14 head, 20 post-processing, 40 elsewhere."""

    def __init__(self, clock):
        super().__init__(Preprocessor(clock))
        self.backbone = nn.Sequential(Work(clock, 4), Work(clock, 1))
        self.bbox_head = Head(clock)
        self.clock = clock

    def forward(self, inputs, data_samples=None, mode='tensor'):
        x = self.backbone(inputs)
        self.clock[0] += 40
        return self.bbox_head.predict(x) if mode == 'predict' else self.bbox_head.forward(x)


@pytest.fixture
def measured(clock):
    return measure_speed(Subject(Detector(clock).eval(), (8, 8)), batch_size=4, depth=2, repeats=1)


def test_an_inference_is_split_into_parts_that_add_up(measured):
    expected = dict(preprocessing=3, backbone=5, bbox_head=14)
    assert measured.parts == {**expected, 'post-processing': 20, '(other)': 40}
    assert measured.batches == {1: 82, 4: 82}


def test_a_layer_has_the_time_of_what_is_in_it(measured):
    seconds = {name: run.seconds for name, run in measured.layers.items()}
    assert seconds['backbone'] == 5
    assert (seconds['backbone.0'], seconds['backbone.1']) == (4, 1)
    assert seconds['bbox_head'] == 14 + 20
    assert measured.layers['bbox_head'].share == 34 / 82
    assert measured.layers['bbox_head.convs'].calls == 0  # a list, which is not called itself
    assert seconds['bbox_head.convs'] == 14


def test_a_layer_shows_what_its_first_call_returned(measured):
    assert measured.layers['backbone'].outputs == [(1, 3, 8, 8)]
    assert measured.layers['bbox_head'].outputs == [(1, 3, 8, 8)]


def test_durations_are_medians_after_two_inferences_to_warm_up(clock):
    class Uneven(Work):
        durations = iter([100, 100, 1, 9, 2] + [1] * 6)

        def forward(self, x):
            clock[0] += next(self.durations)
            return x

    model = nn.Sequential(Uneven(clock, 0))
    assert measure_speed(Subject(model, (4, 4)), 1, 1, repeats=3).batches == {1: 2}


def test_a_model_is_as_before_after_it_was_timed(clock):
    model = Detector(clock).eval()
    before = [dict(vars(module)) for module in model.modules()]
    measure_speed(Subject(model, (8, 8)), 1, 3, 1)
    assert [dict(vars(module)) for module in model.modules()] == before


def test_methods_are_given_back_even_after_an_error(clock):
    def refuse(x):
        raise RuntimeError('refused')

    layer = Work(clock, 1)
    vars(layer)['forward'] = refuse  # as a wrapper around a model may have done
    with (
        pytest.raises(RuntimeError, match='refused'),
        calls.wrapped_methods([(layer, 'forward')], lambda method, module: method),
    ):
        layer(1)
    assert vars(layer)['forward'] is refuse
