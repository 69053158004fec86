"""A warm-up that starts gently, then a decay by a power of what is left."""

_base_ = '../../psd_yolo.py'

warm_up = 200  # iterations

param_scheduler = [
    dict(type='QuadraticWarmupLR', by_epoch=False, end=warm_up),
    dict(type='PolyLR', power=0.9, eta_min=1e-5, convert_to_iter_based=True),
]
