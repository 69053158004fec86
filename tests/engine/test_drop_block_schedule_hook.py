"""The schedule of DropBlock, in runs of a Runner."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import nn

from mmdet_ext.engine.hooks import DropBlockScheduleHook
from mmdet_ext.models.layers import ClampedDropBlock


class Model(BaseModel):
    """A convolution with DropBlock behind it."""

    def __init__(self):
        super().__init__()
        self.conv, self.drop_block = nn.Conv2d(1, 1, 1), ClampedDropBlock(0.2, 3)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return {'loss': self.drop_block(self.conv(torch.stack(inputs))).square().mean()}


class Seen(Hook):
    """The probability in each iteration."""

    priority = 'LOWEST'

    def __init__(self):
        self.drop_probs = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.drop_probs.append(runner.model.drop_block.drop_prob)


@pytest.fixture(autouse=True)
def fresh_globals(monkeypatch):
    """Forget mmengine's process-wide instances, which a second run in one process would inherit."""
    for manager in (DefaultScope, MessageHub, MMLogger, Visualizer):
        monkeypatch.setattr(manager, '_instance_dict', type(manager._instance_dict)())


def train(work_dir, model, hook, resume=False):
    """Two epochs of five iterations; returns the probability in each."""
    seen = Seen()
    Runner(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=1,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=[dict(inputs=torch.ones(1, 4, 4)) for _ in range(5)],
        ),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[hook, seen],
        resume=resume,
        experiment_name=f'{work_dir.name}_{resume}',
    ).train()
    return seen.drop_probs


def test_the_probability_rises_from_0_by_the_iteration(tmp_path):
    probabilities = train(tmp_path, Model(), DropBlockScheduleHook())
    assert probabilities == pytest.approx([0.02 * i for i in range(10)])


def test_a_resumed_run_goes_on_where_it_stopped(tmp_path):
    train(tmp_path, Model(), DropBlockScheduleHook())
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    resumed = train(tmp_path, Model(), DropBlockScheduleHook(), resume=True)
    assert resumed == pytest.approx([0.02 * i for i in range(5, 10)])


def test_it_can_begin_later_and_end_sooner(tmp_path):
    probabilities = train(tmp_path, Model(), DropBlockScheduleHook(begin=0.2, end=0.6))
    assert probabilities == pytest.approx([0, 0, 0, 0.05, 0.1, 0.15, 0.2, 0.2, 0.2, 0.2])


def test_a_model_without_drop_block_is_refused(tmp_path):
    model = Model()
    model.drop_block = nn.Identity()
    with pytest.raises(ValueError, match='no ClampedDropBlock in the model: add one'):
        train(tmp_path, model, DropBlockScheduleHook())


@pytest.mark.parametrize(('begin', 'end'), [(-0.1, 1), (0.5, 0.5), (0, 1.1)])
def test_shares_that_are_out_of_order_are_refused(begin, end):
    with pytest.raises(ValueError, match='give 0 <= begin < end <= 1'):
        DropBlockScheduleHook(begin, end)
