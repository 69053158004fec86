"""Initial weights by layer type, and of the classifier so that it begins at a probability of 1 %."""

_base_ = '../../retinanet_parking_slots.py'

model = dict(
    backbone=dict(
        init_cfg=[
            dict(type='Kaiming', layer='Conv2d', mode='fan_out', nonlinearity='relu'),
            dict(type='Constant', layer='BatchNorm2d', val=1),
        ]
    ),
    neck=dict(init_cfg=dict(type='Xavier', layer='Conv2d', distribution='uniform')),
    bbox_head=dict(
        init_cfg=dict(
            type='Normal',
            layer='Conv2d',
            std=0.01,
            override=dict(type='Normal', name='retina_cls', std=0.01, bias_prob=0.01),
        )
    ),
)
