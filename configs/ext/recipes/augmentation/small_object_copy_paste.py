"""Copies of small objects in free places of the same image."""

_base_ = '../../retinanet_parking_slots.py'

train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='SmallObjectCopyPaste', max_area=32**2, copies=3),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
