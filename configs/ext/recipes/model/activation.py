"""Another activation in backbone, neck and head."""

_base_ = '../../psd_yolo.py'

act_cfg = dict(_delete_=True, type='LeakyReLU', negative_slope=0.1, inplace=True)

model = dict(
    backbone=dict(act_cfg=act_cfg), neck=dict(act_cfg=act_cfg), bbox_head=dict(act_cfg=act_cfg)
)
