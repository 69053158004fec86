"""The teacher of distillation.py: GFL, which predicts where a side may lie as a distribution."""

_base_ = [
    'mmdet::_base_/models/retinanet_r50_fpn.py',
    '../../../_base_/datasets/parking_slot_boxes.py',
    '../../../_base_/schedules/adamw_cosine.py',
    '../../../_base_/default_runtime.py',
]

base_channels = 16
channels = 96  # of the neck and the head
strides = [8, 16, 32, 64]

model = dict(
    type='GFL',
    backbone=dict(base_channels=base_channels, frozen_stages=-1, norm_eval=False, init_cfg=None),
    neck=dict(
        in_channels=[base_channels * 4 * 2**i for i in range(4)],
        out_channels=channels,
        add_extra_convs='on_output',
        num_outs=4,
    ),
    bbox_head=dict(
        _delete_=True,
        type='GFLHead',
        num_classes=3,
        in_channels=channels,
        feat_channels=channels,
        stacked_convs=2,
        anchor_generator=dict(
            type='AnchorGenerator',
            ratios=[1.0],
            octave_base_scale=8,
            scales_per_octave=1,
            strides=strides,
        ),
        norm_cfg=dict(type='GN', num_groups=8),
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0, loss_weight=1.0),
        loss_dfl=dict(type='DistributionFocalLoss', loss_weight=0.25),
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
        reg_max=16,
    ),
    train_cfg=dict(
        _delete_=True,
        assigner=dict(type='ATSSAssigner', topk=9),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
)
default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP'))
