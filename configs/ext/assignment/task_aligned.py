"""Task-aligned (Feng et al., TOOD, 2021): the points with the best score x IoU ** 6 in each object."""

_base_ = 'base.py'

assigner = dict(type='TaskAlignedAssigner', topk=13)
model = dict(
    train_cfg=dict(assigner=dict(_delete_=True, type='PointsAsAnchorsAssigner', assigner=assigner))
)
