"""A warm-up from a hundredth of the rate, then a factor per epoch."""

_base_ = '../../psd_yolo.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=100),
    dict(type='ExponentialLR', gamma=0.8),
]
