"""A loss on the boxes themselves: the head has to decode them first."""

_base_ = '../../retinanet_parking_slots.py'

loss_bbox = dict(type='TorchvisionCIoULoss', loss_weight=2.0)

model = dict(bbox_head=dict(reg_decoded_bbox=True, loss_bbox=loss_bbox))
