"""Short trainings of a detector of a few hundred values."""

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn


def block(channels, out_channels):
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, 1), nn.BatchNorm2d(out_channels), nn.Dropout(0.5)
    )


class Backbone(nn.Module):
    """A stem and two stages."""

    def __init__(self, frozen_stages=-1):
        super().__init__()
        self.stem, self.stage1, self.stage2 = block(2, 3), block(3, 3), block(3, 3)
        for stage in (self.stem, self.stage1, self.stage2)[: frozen_stages + 1]:
            stage.requires_grad_(False)

    def forward(self, x):
        return self.stage2(self.stage1(self.stem(x)))


class TinyDetector(BaseModel):
    """Backbone, neck and head; the head is built before the neck, as nobody should rely on that."""

    def __init__(self, frozen_stages=-1, classes=2):
        super().__init__()
        self.bbox_head = nn.Conv2d(3, classes, 1)
        self.backbone = Backbone(frozen_stages)
        self.neck = block(3, 3)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        y = self.bbox_head(self.neck(self.backbone(torch.stack(list(inputs)))))
        return {'loss': (y.float() - 1).square().mean()} if mode == 'loss' else [y]


class Recorder(Hook):
    """Weights, modes and what is trainable, after each iteration; weights before as well."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.weights, self.training, self.trainable = [], [], []

    def before_train(self, runner):
        self.weights.append(snapshot(runner))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        model = unwrapped(runner)
        self.weights.append(snapshot(runner))
        self.training.append({name: module.training for name, module in model.named_modules()})
        self.trainable.append({n for n, p in model.named_parameters() if p.requires_grad})

    def moved(self, iteration):
        """Names of weights and statistics that an iteration changed; counters aside."""
        before, after = self.weights[iteration], self.weights[iteration + 1]
        return {
            name
            for name, value in after.items()
            if not torch.equal(value, before[name]) and not name.endswith('tracked')
        }


def unwrapped(runner):
    return getattr(runner.model, 'module', runner.model)


def snapshot(runner):
    return {name: value.clone() for name, value in unwrapped(runner).state_dict().items()}


def parts_of(names):
    """First two parts of names in the backbone, the first one elsewhere."""
    return {'.'.join(n.split('.')[: 2 if n.startswith('backbone') else 1]) for n in names}


def run_of(tmp_path, *hooks, model=None, epochs=3, iters=None, optim=None, validate=False, **more):
    """A Runner with two batches an epoch (or ``iters`` in all), and what it recorded."""
    torch.manual_seed(0)
    data = [dict(inputs=torch.randn(2, 2, 2)) for _ in range(4)]
    sampler = dict(type='InfiniteSampler' if iters else 'DefaultSampler', shuffle=False)
    loader = dict(batch_size=2, sampler=sampler, dataset=data)
    schedule = dict(by_epoch=False, max_iters=iters) if iters else dict(max_epochs=epochs)
    optimizer = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.1)
    recorder = Recorder()
    if validate:
        evaluator = dict(type='DumpResults', out_file_path=str(tmp_path / 'results.pkl'))
        more |= dict(val_dataloader=loader, val_cfg=dict(), val_evaluator=evaluator)
    runner = Runner(
        model=model or TinyDetector(),
        work_dir=str(tmp_path),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, val_interval=1 if validate else 99) | schedule,
        optim_wrapper=dict(type='OptimWrapper', optimizer=optimizer) | (optim or {}),
        custom_hooks=[*hooks, recorder],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=not iters)),
        env_cfg=dict(mp_cfg=dict(mp_start_method='fork')),
        randomness=dict(seed=0),
        experiment_name='run',
        default_scope='mmdet',
        **more,
    )
    return runner, recorder


def train(tmp_path, *hooks, **options):
    runner, recorder = run_of(tmp_path, *hooks, **options)
    runner.train()
    return runner, recorder
