"""Depthwise separable convolutions: MobileNetV2, and YOLOX parts with `use_depthwise`."""

_base_ = '../../psd_yolo.py'

model = dict(
    backbone=dict(_delete_=True, type='MobileNetV2', widen_factor=0.5, out_indices=(2, 4, 7)),
    neck=dict(in_channels=[16, 48, 1280], use_depthwise=True),
)
