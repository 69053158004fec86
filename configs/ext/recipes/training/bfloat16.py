"""Mixed precision in bfloat16, on any device."""

_base_ = '../../psd_yolo.py'

optim_wrapper = dict(native_only=False)
