"""Batch norms count the images of all processes; with compressed gradients."""

_base_ = '../../psd_yolo.py'

sync_bn = 'torch'
custom_hooks = [*_base_.custom_hooks, dict(type='GradientCompressionHook', dtype='bf16')]
