"""L1 regularisation: weights that are exactly zero."""

_base_ = '../../psd_yolo.py'

custom_hooks = [
    *_base_.custom_hooks,
    dict(type='L1RegularizationHook', weight=1e-5, proximal=True),
]
