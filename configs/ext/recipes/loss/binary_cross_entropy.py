"""A sigmoid and a binary cross-entropy for each class, on logits."""

_base_ = '../../retinanet_parking_slots.py'

model = dict(
    bbox_head=dict(loss_cls=dict(_delete_=True, type='CrossEntropyLoss', use_sigmoid=True))
)
