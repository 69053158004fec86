"""A smooth L1 loss on coded boxes."""

_base_ = '../../retinanet_parking_slots.py'

model = dict(bbox_head=dict(loss_bbox=dict(type='SmoothL1Loss', beta=1 / 9)))
