"""Average pooling in the shortcuts (ResNet-D) and stochastic pooling in the blocks."""

_base_ = '../../retinanet_parking_slots.py'

pooling = dict(type='StochasticPool2d', kernel_size=3, stride=1, padding=1)

model = dict(
    backbone=dict(
        type='ResNetV1d',
        depth=50,
        plugins=[dict(cfg=pooling, stages=(False, False, False, True), position='after_conv1')],
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
