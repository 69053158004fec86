"""ATSS (Zhang et al., 2020): an IoU threshold for each object; one square anchor of 8 strides a point."""

_base_ = 'base.py'

assigner = dict(type='ATSSAssigner', topk=9)
model = dict(
    train_cfg=dict(assigner=dict(_delete_=True, type='PointsAsAnchorsAssigner', assigner=assigner))
)
