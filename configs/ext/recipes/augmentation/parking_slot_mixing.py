"""Mosaic, mixup and grid mask for parking slots: slots and marking points stay consistent."""

_base_ = '../../psd_yolo.py'

*load, affine = _base_.train_pipeline[:3]
train_pipeline = [
    *load,
    dict(type='ParkingSlotMosaic', img_scale=_base_.image_size, prob=0.5),
    affine,
    dict(type='ParkingSlotMixUp', prob=0.3),
    dict(type='DetGridMask', unit=(48, 112), prob=0.3, drop_covered_points=True),
    *_base_.train_pipeline[3:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
