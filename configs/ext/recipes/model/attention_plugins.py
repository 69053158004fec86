"""An attention layer in each residual block of a ResNet: `plugins`."""

_base_ = '../../retinanet_parking_slots.py'

attention = dict(type='SqueezeExcitation')  # or any other that takes in_channels

model = dict(
    backbone=dict(
        depth=50,
        plugins=[
            dict(cfg=attention, stages=(False, True, True, True), position='after_conv3'),
        ],
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),  # four times those of ResNet-18
)
