"""Brightness, contrast and saturation between 0.6 and 1.4 times."""

_base_ = '../../retinanet_parking_slots.py'

jitter = dict(min_mag=0.6, max_mag=1.4)

train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='Brightness', prob=1.0, **jitter),
    dict(type='Contrast', prob=1.0, **jitter),
    dict(type='Color', prob=1.0, **jitter),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
