"""A training that takes a fraction of a second and depends on every random state there is."""

import random

import numpy as np
import torch
from mmdet.registry import DATASETS, METRICS, MODELS
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset


@MODELS.register_module(force=True)
class NoisyToyModel(BaseModel):
    """A linear layer behind dropout and batch norm."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.layer = nn.Linear(3, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        y = self.layer(
            nn.functional.dropout(self.norm(torch.stack(list(inputs))), training=self.training)
        )
        return {'loss': y.square().mean()} if mode == 'loss' else list(y)


@DATASETS.register_module(force=True)
class NoisyToyDataset(Dataset):
    """Samples that draw from Python's, NumPy's and torch's generators."""

    metainfo = {}

    def __init__(self, length=10):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        noise = [random.random(), np.random.mtrand._rand.random_sample(), float(torch.rand(()))]
        return {'inputs': torch.tensor(noise) + index, 'data_samples': index}


@METRICS.register_module(force=True)
class ScriptedToyMetric(BaseMetric):
    """Results that are given beforehand, one for each validation."""

    def __init__(self, scores=(), fail_at=None):
        super().__init__()
        self.scores, self.fail_at = scores, fail_at

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        epoch = MessageHub.get_current_instance().get_info('epoch')
        if self.fail_at == epoch:
            raise RuntimeError('the metric fails')
        return {'score': self.scores[epoch] if self.scores else float(epoch)}


def toy_config(work_dir, epochs=4, workers=0, **changes):
    """The config, with top-level entries changed."""
    loader = dict(
        batch_size=2,
        num_workers=workers,
        persistent_workers=workers > 0,
        dataset=dict(type='NoisyToyDataset'),
        sampler=dict(type='DefaultSampler', shuffle=True),
    )
    val_loader = dict(
        loader, dataset=dict(type='NoisyToyDataset', length=2), sampler=dict(type='DefaultSampler')
    )
    config = dict(
        work_dir=str(work_dir),
        experiment_name=f'{work_dir}',
        default_scope='mmdet',
        model=dict(type='NoisyToyModel'),
        train_dataloader=loader,
        val_dataloader=val_loader,
        train_cfg=dict(type='ResumableTrainLoop', max_epochs=epochs, val_interval=1),
        val_cfg=dict(),
        val_evaluator=dict(type='ScriptedToyMetric'),
        optim_wrapper=dict(  # of five batches: gradients wait between the epochs
            type='OptimWrapper', optimizer=dict(type='Adam', lr=0.1), accumulative_counts=2
        ),
        param_scheduler=dict(type='ExponentialLR', gamma=0.9),
        default_hooks=dict(
            checkpoint=dict(
                type='SafeCheckpointHook',
                interval=1,
                max_keep_ckpts=2,
                save_best='score',
                rule='greater',
            ),
        ),
        custom_hooks=[
            dict(type='SampleSeedHook'),
            dict(type='InterruptHook'),
            dict(type='EMAHook', momentum=0.1),
        ],
        randomness=dict(seed=1),
        log_level='WARNING',
        env_cfg=dict(mp_cfg=dict(mp_start_method='fork')),
    )
    return config | changes


def toy_runner(work_dir, resume=False, load_from=None, **options):
    """A runner of the config, as in a new process."""
    return Runner.from_cfg(
        toy_config(work_dir, **options) | dict(resume=resume, load_from=load_from)
    )
