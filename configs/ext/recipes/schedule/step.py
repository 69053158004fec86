"""The rate falls to a tenth every so many epochs."""

_base_ = '../../psd_yolo.py'

param_scheduler = [
    _base_.param_scheduler[0],  # warm-up
    dict(type='StepLR', step_size=6, gamma=0.1),
]
