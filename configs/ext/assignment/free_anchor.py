"""FreeAnchor (Zhang et al., 2019): objects choose from bags of anchors by likelihood.

A head of its own, with RetinaNet's nine anchors a point; all else the same.
"""

_base_ = 'base.py'

model = dict(
    bbox_head=dict(
        _delete_=True,
        type='FreeAnchorRetinaHead',
        num_classes=_base_.num_classes,
        in_channels=_base_.channels,
        feat_channels=_base_.channels,
        stacked_convs=2,
        anchor_generator=dict(
            type='AnchorGenerator',
            octave_base_scale=4,
            scales_per_octave=3,
            ratios=[0.5, 1.0, 2.0],
            strides=_base_.strides,
        ),
        norm_cfg=_base_.head_norm,
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[0.1, 0.1, 0.2, 0.2],
        ),
        loss_bbox=dict(type='SmoothL1Loss', beta=0.11, loss_weight=0.75),
    ),
    train_cfg=None,
)
