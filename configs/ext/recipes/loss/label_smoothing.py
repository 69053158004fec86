"""Targets of 0.995 and 0.005 instead of 1 and 0."""

_base_ = '../../retinanet_parking_slots.py'

loss_cls = dict(_delete_=True, type='SmoothedCrossEntropyLoss', use_sigmoid=True, smoothing=0.01)

model = dict(bbox_head=dict(loss_cls=loss_cls))
