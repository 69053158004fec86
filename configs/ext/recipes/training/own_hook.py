"""Where in an iteration a hook acts: mmengine's hook that stops at a loss of NaN, at once."""

_base_ = '../../psd_yolo.py'

custom_hooks = [
    *(hook for hook in _base_.custom_hooks if hook['type'] != 'NonFiniteGuardHook'),
    dict(type='CheckInvalidLossHook', interval=1),
]
