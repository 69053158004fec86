"""Padding with the edge, rotation, crop and flips in both directions, on boxes."""

_base_ = '../../retinanet_parking_slots.py'

image_size = (256, 256)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(320, 320), keep_ratio=True),  # width, height
    dict(type='Rotate', prob=0.5, max_mag=45.0),
    dict(type='RandomCrop', crop_size=image_size, allow_negative_crop=True),
    dict(type='RandomFlip', prob=[0.25, 0.25], direction=['horizontal', 'vertical']),
    dict(type='Pad', size=(288, 288), padding_mode='edge'),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
