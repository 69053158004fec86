"""Transforms of torchvision.transforms.v2 by their names, with boxes: perspective and blur."""

_base_ = '../../retinanet_parking_slots.py'

train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='TorchvisionTransform', name='RandomPerspective', distortion_scale=0.3, fill=114),
    dict(type='TorchvisionTransform', name='GaussianBlur', kernel_size=5),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
