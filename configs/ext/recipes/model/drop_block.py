"""DropBlock in the last two stages of a ResNet-50, its probability rising from 0 over the training."""

_base_ = '../../retinanet_parking_slots.py'

drop_block = dict(type='ClampedDropBlock', drop_prob=0.1, block_size=7)

model = dict(
    backbone=dict(
        depth=50,
        plugins=[
            dict(cfg=drop_block, stages=(False, False, True, True), position='after_conv3'),
        ],
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
custom_hooks = [*_base_.custom_hooks, dict(type='DropBlockScheduleHook')]
