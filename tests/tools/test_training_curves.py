"""Training curves of real runs: ended, resumed, started anew."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub

from mmdet_ext.apis import train

HOOK = """
custom_hooks = [dict(type='TrainingCurvesHook')]
val_dataloader = train_dataloader
val_evaluator = dict(type='ToolsToyMetric')
val_cfg = dict()
train_cfg = dict(by_epoch=True, max_epochs={}, val_interval=1)
"""


def table():
    return list(csv.DictReader(Path('run/results.csv').read_text().splitlines()))


def test_curves_of_a_resumed_run_are_those_of_the_whole_run(config):
    train(config(HOOK.format(1)), work_dir='run')
    (first,) = table()
    MessageHub._instance_dict.clear()  # as in another process
    train(config(HOOK.format(3)), work_dir='run', resume='auto')
    rows = table()
    assert rows[0] == first
    assert [(row['epoch'], row['iter'], row['samples']) for row in rows] == [
        ('1', '2', '4'), ('2', '4', '4'), ('3', '6', '4')
    ]  # fmt: skip
    assert {row['train/lr'] for row in rows} == {'0.1'}
    hub = torch.load('run/epoch_3.pth', weights_only=False)['message_hub']
    losses = hub['log_scalars']['train/loss'].data[0]
    means = np.reshape(losses, (3, 2)).mean(1)
    assert [float(row['train/loss']) for row in rows] == pytest.approx(means)
    assert cv2.imread('run/results.png').std() > 5


def test_iteration_based_training_has_curves_over_iterations(config):
    more = HOOK.format(1) + 'train_cfg = dict(by_epoch=False, max_iters=5, val_interval=2)\n'
    train(config(more), work_dir='run')
    assert [row['iter'] for row in table()] == ['2', '4', '5']
    assert 'epoch' not in table()[0]
