"""mmdet's schedule 1x (12 epochs), or 2x (24)."""

_base_ = '../../retinanet_parking_slots.py'

times = 1

train_cfg = dict(max_epochs=12 * times, val_interval=12 * times)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=500),
    dict(type='MultiStepLR', milestones=[8 * times, 11 * times], gamma=0.1),
]
