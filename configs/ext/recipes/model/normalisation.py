"""Another normalisation in backbone, neck and head: here groups of 16 channels, for small batches."""

_base_ = '../../psd_yolo.py'

norm_cfg = dict(_delete_=True, type='GroupNorm16')

model = dict(
    backbone=dict(norm_cfg=norm_cfg),
    neck=dict(norm_cfg=norm_cfg),
    bbox_head=dict(norm_cfg=norm_cfg),
)
