"""Compilation of parts of a model, with torch's `eager` backend: no compiler is needed."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmdet_ext.engine.hooks.compile_hook import CompileHook

pytestmark = pytest.mark.skipif(
    torch.__version__ < '2.2',
    reason='compilation makes optimizers of this torch forget their hooks',
)


class Part(nn.Module):
    """Modules of torch itself are no case for torch.compile."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3)

    def forward(self, x):
        return self.conv(x).relu()


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = Part(3, 4)
        self.neck = Part(4, 2)

    def forward(self, images):
        return self.neck(self.backbone(images))


def compiled(calls, **kwargs):
    """A detector whose parts are compiled by a backend that notes what it is given."""

    def backend(graph, example_inputs):
        calls.append(graph)
        return graph.forward

    torch._dynamo.reset()
    model = Detector()
    CompileHook(options=dict(backend=backend), **kwargs).before_train(SimpleNamespace(model=model))
    return model


def test_backbone_and_neck_are_compiled_with_the_same_result_and_the_same_names():
    calls, plain, images = [], Detector(), torch.rand(1, 3, 8, 8)
    model = compiled(calls)
    model.load_state_dict(plain.state_dict())
    torch.testing.assert_close(model(images), plain(images))
    assert len(calls) == 2


def test_other_parts_can_be_named():
    calls = []
    model = compiled(calls, parts=['neck'])
    model.backbone(torch.rand(1, 3, 8, 8))
    assert not calls
    model(torch.rand(1, 3, 8, 8))
    assert len(calls) == 1


def test_a_copy_has_weights_of_its_own_and_is_not_compiled():
    calls, images = [], torch.rand(1, 3, 8, 8)
    model = compiled(calls)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.neck.conv.weight.zero_()
        twin.neck.conv.bias.fill_(2)
    assert (twin(images) == 2).all()
    assert not calls
    assert not (model(images) == 2).any()


def test_an_unknown_part_is_named():
    with pytest.raises(
        ValueError, match=r"names 'bakbone' \(did you mean backbone.*\), but Detector"
    ):
        compiled([], parts=['bakbone'])
