"""AutoAssign (Zhu et al., 2020): all points in an object, weighted by a learned centre prior and confidence.

A head of its own, all else the same, but in float32: its loss fails in mixed precision.
"""

_base_ = 'base.py'

model = dict(
    bbox_head=dict(
        _delete_=True,
        type='AutoAssignHead',
        num_classes=_base_.num_classes,
        in_channels=_base_.channels,
        feat_channels=_base_.channels,
        stacked_convs=2,
        strides=_base_.strides,
        norm_cfg=_base_.head_norm,
        loss_bbox=dict(type='GIoULoss', loss_weight=5.0),
    ),
    train_cfg=None,
)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=_base_.optim_wrapper.optimizer,
    clip_grad=_base_.optim_wrapper.clip_grad,
)
