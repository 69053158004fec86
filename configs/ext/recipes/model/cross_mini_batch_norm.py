"""Batches of 2 accumulated to 8, normalised with the statistics of all 8 so far (CmBN of YOLOv4)."""

_base_ = '../../psd_yolo.py'

norm_cfg = dict(_delete_=True, type='CmBN')

model = dict(
    backbone=dict(norm_cfg=norm_cfg),
    neck=dict(norm_cfg=norm_cfg),
    bbox_head=dict(norm_cfg=norm_cfg),
)
train_dataloader = dict(batch_size=2)
optim_wrapper = dict(accumulative_counts=4)
