"""Only neck and head learn at first, then all."""

_base_ = '../../psd_yolo.py'

custom_hooks = [
    *_base_.custom_hooks,
    dict(type='FreezeHook', freeze=['backbone'], until_epoch=2),
]
