"""The total loss is kept from falling below a level."""

_base_ = '../../psd_yolo.py'

optim_wrapper = dict(type='FloodingBFloat16OptimWrapper', flood_level=0.5)
