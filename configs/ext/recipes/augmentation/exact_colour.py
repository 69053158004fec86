"""Brightness, contrast, saturation and hue as torchvision changes them, each by any amount."""

_base_ = '../../retinanet_parking_slots.py'

train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='DetColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
