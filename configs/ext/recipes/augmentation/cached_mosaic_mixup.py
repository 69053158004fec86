"""Mosaic and mixup with images seen shortly before, which no one has to load again (RTMDet)."""

_base_ = '../../retinanet_parking_slots.py'

image_size = (256, 256)

train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='CachedMosaic', img_scale=image_size, pad_val=114.0, max_cached_images=20),
    dict(type='RandomResize', scale=(512, 512), ratio_range=(0.5, 1.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=image_size),
    dict(type='CachedMixUp', img_scale=image_size, ratio_range=(1.0, 1.0), max_cached_images=10),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
