"""Centre region and scale of the level (Tian et al., FCOS, 2019): a head of its own, all else the same."""

_base_ = 'base.py'

model = dict(
    bbox_head=dict(
        _delete_=True,
        type='FCOSHead',
        num_classes=_base_.num_classes,
        in_channels=_base_.channels,
        feat_channels=_base_.channels,
        stacked_convs=2,
        strides=_base_.strides,
        regress_ranges=((-1, 64), (64, 128), (128, 256), (256, 1e8)),
        center_sampling=True,
        center_sample_radius=1.5,
        norm_on_bbox=True,
        centerness_on_reg=True,
        loss_bbox=dict(type='GIoULoss', loss_weight=1.0),
        norm_cfg=_base_.head_norm,
    ),
    train_cfg=None,
)
