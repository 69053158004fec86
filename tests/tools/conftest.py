"""A run so small that training takes a second: two parameters, four samples."""

import importlib.util
from pathlib import Path

import pytest
import torch
from mmdet.registry import DATASETS, METRICS, MODELS
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import Dataset

ROOT = Path(__file__).parents[2]

CONFIG = """
default_scope = 'mmdet'
model = dict(type='ToolsToyModel', width=1)
train_dataloader = dict(
    batch_size=2, num_workers=0, dataset=dict(type='ToolsToyDataset'),
    sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = train_dataloader
train_cfg = dict(by_epoch=True, max_epochs=1)
test_cfg = dict()
test_evaluator = dict(type='ToolsToyMetric')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1))
env_cfg = dict(mp_cfg=dict(mp_start_method='fork'))
"""


class ToolsToyModel(BaseModel):
    """Fits y = 2 x with one linear layer."""

    def __init__(self, width, data_preprocessor=None):
        super().__init__(data_preprocessor)
        self.layer = nn.Linear(1, width)
        self.computed_in = None

    def forward(self, inputs, data_samples=None, mode='tensor'):
        x = torch.stack(list(inputs))
        y = self.layer(x)
        self.computed_in = y.dtype
        if mode == 'loss':
            return {'loss': (y.float() - 2 * x).square().mean()}
        return [{'x': a, 'y': b} for a, b in zip(x, y, strict=True)]


class ToolsToyDataset(Dataset):
    """Four numbers."""

    def __init__(self):
        self.metainfo = {}

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {'inputs': torch.tensor([float(index)]), 'data_samples': index}


class ToolsToyMetric(BaseMetric):
    """The number of samples seen."""

    def process(self, data_batch, data_samples):
        self.results += list(data_samples)

    def compute_metrics(self, results):
        return {'samples': len(results)}


@pytest.fixture(scope='session', autouse=True)
def toy_components():
    for registry, component in (
        (MODELS, ToolsToyModel),
        (DATASETS, ToolsToyDataset),
        (METRICS, ToolsToyMetric),
    ):
        registry.register_module(module=component, force=True)


@pytest.fixture(autouse=True)
def fresh_globals(monkeypatch):
    """Forget mmengine's process-wide instances, which a second run in one process would inherit."""
    for manager in (DefaultScope, MessageHub, MMLogger, Visualizer):
        monkeypatch.setattr(manager, '_instance_dict', type(manager._instance_dict)())
    monkeypatch.setenv('LOCAL_RANK', '0')


@pytest.fixture
def tool():
    """Import a script of tools/ as a module."""

    def load(name):
        spec = importlib.util.spec_from_file_location(f'tools_{name}', ROOT / f'tools/{name}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Write the toy config, with lines added, into an empty current folder; returns its name."""
    monkeypatch.chdir(tmp_path)

    def write(more='', name='toy.py'):
        Path(name).write_text(CONFIG + more)
        return name

    return write


@pytest.fixture
def error_of(capsys):
    """Run a tool that must fail; returns the sentence that it prints."""

    def run(main, *argv):
        with pytest.raises(SystemExit) as stop:
            main(list(argv))
        assert stop.value.code == 1
        last = capsys.readouterr().err.strip().splitlines()[-1]
        assert last.startswith('error: ')
        return last

    return run
