"""Softmax cross-entropy over the classes and the background, with weights of the classes."""

_base_ = '../../retinanet_parking_slots.py'

loss_cls = dict(
    _delete_=True,
    type='CrossEntropyLoss',
    use_sigmoid=False,
    class_weight=[1.0, 1.0, 1.0, 0.1],  # the last one is the background
)

model = dict(bbox_head=dict(loss_cls=loss_cls))
