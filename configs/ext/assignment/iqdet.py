"""IQDet (Ma et al., 2021): points drawn from a distribution that an encoder estimates for each object.

A head of its own, all else the same.
"""

_base_ = 'base.py'

model = dict(
    bbox_head=dict(
        _delete_=True,
        type='IQDetHead',
        num_classes=_base_.num_classes,
        in_channels=_base_.channels,
        feat_channels=_base_.channels,
        stacked_convs=2,
        strides=_base_.strides,
        norm_cfg=_base_.head_norm,
    ),
    train_cfg=dict(assigner=dict(_delete_=True, type='QualitySamplingAssigner')),
)
