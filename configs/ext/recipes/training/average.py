"""An exponential moving average of the weights is what is validated and saved."""

_base_ = '../../psd_yolo.py'

custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=2e-4, update_buffers=True),
]
