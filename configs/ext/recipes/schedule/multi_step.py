"""The rate falls to a tenth at given epochs."""

_base_ = '../../psd_yolo.py'

param_scheduler = [
    _base_.param_scheduler[0],  # warm-up
    dict(type='MultiStepLR', milestones=[10, 14], gamma=0.1),
]
