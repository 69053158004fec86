"""The share of sampled boxes that a two-stage detector classifies rightly, logged in training."""

_base_ = '../../faster_rcnn_roi_pool.py'

default_hooks = dict(logger=dict(interval=1))
