"""The focal loss with the same weight for positives and negatives."""

_base_ = '../../retinanet_parking_slots.py'

loss_cls = dict(_delete_=True, type='TorchvisionFocalLoss', use_sigmoid=True, gamma=2.0, alpha=-1)

model = dict(bbox_head=dict(loss_cls=loss_cls))
