"""Largest IoU with an anchor (Ren et al., Faster R-CNN, 2015); one square anchor of 8 strides a point."""

_base_ = 'base.py'

assigner = dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5)
model = dict(
    train_cfg=dict(assigner=dict(_delete_=True, type='PointsAsAnchorsAssigner', assigner=assigner))
)
