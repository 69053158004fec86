"""Training of a model of a few weights on a few images, in a Runner, for the tests of hooks."""

import logging
from contextlib import contextmanager

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement, InstanceData
from mmengine.visualization import Visualizer
from torch import nn


def forget_globals():
    """Context in which mmengine's process-wide instances are new ones."""
    patch = pytest.MonkeyPatch()
    for manager in (DefaultScope, MessageHub, MMLogger, Visualizer):
        patch.setattr(manager, '_instance_dict', type(manager._instance_dict)())
    return patch


@pytest.fixture(autouse=True)
def fresh_globals():
    """A second run in one process would inherit them."""
    patch = forget_globals()
    yield
    patch.undo()


class ScaledOnCPU(AmpOptimWrapper):
    """mmengine's wrapper for mixed precision, which asserts a GPU, with torch's scaler on the CPU."""

    def __init__(self, optimizer, **scaling):
        OptimWrapper.__init__(self, optimizer)
        self._scale_update_param, self.cast_dtype = None, None
        self.loss_scaler = torch.amp.GradScaler('cpu', **scaling)

    optim_context = OptimWrapper.optim_context


needs_scaler = pytest.mark.skipif(
    not hasattr(torch.amp, 'GradScaler'), reason='this torch scales on a GPU only'
)


class Model(BaseModel):
    """A convolution, a batch norm and another convolution; the loss is the mean square."""

    def __init__(self, norm=True):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(1, 2, 1)
        self.norm = nn.BatchNorm2d(2) if norm else nn.Identity()
        self.last = nn.Conv2d(2, 1, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        output = self.last(self.norm(self.stem(torch.stack(list(inputs)))))
        if mode == 'predict':
            return data_samples
        targets = torch.stack([sample.gt_instances.bboxes.mean() for sample in data_samples])
        per_image = (output - targets[:, None, None, None]).square().mean(dim=(1, 2, 3))
        return {'loss_square': per_image.mean(), 'loss_size': 0.1 * output.abs().mean()}


def images(count, bad=(), value=torch.nan, bad_labels=()):
    """Images of noise, called 0.png and so on; those in ``bad`` have one pixel that is not finite."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.rand(count, 1, 4, 4, generator=generator)
    dataset = []
    for i, image in enumerate(pixels):
        sample = BaseDataElement(metainfo=dict(img_path=f'{i}.png'))
        sample.gt_instances = InstanceData(bboxes=torch.full((2, 4), i / count))
        if i in bad:
            image[0, 0, 0] = value
        if i in bad_labels:
            sample.gt_instances.bboxes[1, 1] = value
        dataset.append(dict(inputs=image, data_samples=sample))
    return dataset


class Scores(BaseMetric):
    """A metric with the given values, one per validation."""

    default_prefix = 'slot'

    def __init__(self, values, name='f1'):
        super().__init__()
        self.values, self.name = list(values), name

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return {self.name: self.values.pop(0)}


def train(
    work_dir,
    hooks=(),
    model=None,
    dataset=None,
    epochs=1,
    batch_size=2,
    scores=None,
    checkpoints=False,
    optim_wrapper=None,
    **options,
):
    """Train; returns the runner. ``scores`` is a metric, or the values of slot/f1 by validation."""
    if scores is not None:
        options |= dict(
            val_dataloader=dict(
                batch_size=1,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=images(1),
            ),
            val_cfg=dict(),
            val_evaluator=[scores if isinstance(scores, BaseMetric) else Scores(scores)],
        )
    runner = new_runner(work_dir, hooks, model, dataset, epochs, batch_size, optim_wrapper, options)
    if not checkpoints:
        runner._hooks = [h for h in runner.hooks if 'Checkpoint' not in type(h).__name__]
    runner.train()
    return runner


def new_runner(work_dir, hooks, model, dataset, epochs, batch_size, optim_wrapper, options):
    """A runner that has not trained yet."""
    default = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9))
    return Runner(
        model=model or Model(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=batch_size,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dataset if dataset is not None else images(8),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=optim_wrapper or default,
        custom_hooks=list(hooks),
        experiment_name=f'{work_dir.name}_{len(MMLogger._instance_dict)}',
        **options,
    )


@contextmanager
def messages():
    """Collect what loggers say, which pytest's caplog misses: mmengine's do not propagate."""
    said = []

    class Listener(logging.Handler):
        def emit(self, record):
            said.append(record.getMessage())

    original, listener = MMLogger.__init__, Listener()

    def init(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.handlers.append(listener)

    MMLogger.__init__ = init
    try:
        yield said
    finally:
        MMLogger.__init__ = original


def weights(model):
    """All parameters in one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
