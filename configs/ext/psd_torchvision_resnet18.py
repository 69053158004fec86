"""The default on a network of torchvision: ResNet-18, or any other by three lines.

Strides and channels of a network: python -m mmdet_ext.models.backbones MODEL
"""

_base_ = 'psd_yolo.py'

# What you are likely to change.
network = 'resnet18'  # all names: python -m mmdet_ext.models.backbones
channels = [128, 256, 512]  # at strides 8, 16, 32; a wrong number is answered with the right ones
weights = None  # a file of ImageNet weights; 'DEFAULT' downloads them
frozen_stages = -1  # with weights and few images: 0 or 1
base_lr = 1e-3

# The rest follows.
model = dict(
    data_preprocessor=dict(  # what torchvision's weights are made for
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(
        _delete_=True,
        type='TorchvisionBackbone',
        model=network,
        out_strides=(8, 16, 32),
        out_channels=channels,
        weights=weights,
        frozen_stages=frozen_stages,
    ),
    neck=dict(
        _delete_=True,
        type='FPN',
        in_channels=channels,
        out_channels=_base_.neck_channels,
        num_outs=3,
    ),
)
optim_wrapper = dict(optimizer=dict(lr=base_lr))
