"""Hooks."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import BaseLoop
from torch import nn

from mmdet_ext.engine.hooks import ChannelsLastHook, ClassCheckHook


class Loop(BaseLoop):
    """A loop over a dataset with the given classes."""

    def __init__(self, classes):
        dataset = SimpleNamespace(metainfo=dict(classes=classes), ann_file='val.json')
        self.dataloader = SimpleNamespace(dataset=dataset)

    def run(self):
        raise AssertionError('never run here')


def make_runner(num_classes, **loops):
    model = nn.Module()
    model.bbox_head = nn.Module()
    model.bbox_head.num_classes = num_classes
    loops = dict(_train_loop=None, _val_loop=None, _test_loop=None) | loops
    return SimpleNamespace(model=model, **loops)


@pytest.mark.parametrize('loop', ['_train_loop', '_val_loop', '_test_loop'])
def test_another_number_of_classes_is_refused_before_the_run(loop):
    runner = make_runner(2, **{loop: Loop(('perpendicular', 'parallel', 'slanted'))})
    with pytest.raises(ValueError, match=r'num_classes is 2, but val\.json is read with 3 classes'):
        ClassCheckHook().before_run(runner)


def test_the_same_number_of_classes_passes():
    ClassCheckHook().before_run(make_runner(1, _test_loop=Loop(('slot',))))


def test_weights_become_channels_last_with_the_same_result():
    model, images = nn.Conv2d(3, 4, 3).double(), torch.randn(2, 3, 8, 8).double()
    before = model(images)
    ChannelsLastHook().before_run(SimpleNamespace(model=model))
    assert model.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(images), before)
