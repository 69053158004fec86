"""A training counted in iterations."""

_base_ = '../../retinanet_parking_slots.py'

max_iters = 1600

train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters // 4
)
train_dataloader = dict(sampler=dict(type='InfiniteSampler'), drop_last=True)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters, end=max_iters),
]
log_processor = dict(by_epoch=False)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=max_iters // 4))
