"""The middle of the image, with its boxes."""

_base_ = '../../retinanet_parking_slots.py'

train_pipeline = [
    *_base_.train_pipeline[:3],
    dict(type='DetCenterCrop', crop_size=(192, 192)),  # width, height
    *_base_.train_pipeline[3:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
