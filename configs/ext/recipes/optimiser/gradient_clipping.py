"""Gradients clipped value by value, not by their norm."""

_base_ = '../../psd_yolo.py'

optim_wrapper = dict(clip_grad=dict(_delete_=True, type='value', clip_value=0.5))
