"""Boxes of parking slots by a narrow SSD on the backbone of ext/retinanet_parking_slots.py (0.9 M parameters).

`PredictingSSDHead` instead of `SSDHead`, which cannot predict, is all that a config of yours needs.
"""

_base_ = [
    '../_base_/datasets/parking_slot_boxes.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/default_runtime.py',
]

# What you are likely to change.
num_classes = 3
base_channels = 16
max_epochs = 12
base_lr = 2e-3

# The rest follows.
channels = (base_channels * 4, base_channels * 8, 64, 64)  # of the levels of strides 16 to 128
model = dict(
    type='SingleStageDetector',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=1,
    ),
    backbone=dict(
        type='ResNet', depth=18, base_channels=base_channels, out_indices=(2, 3), norm_eval=False
    ),
    neck=dict(
        type='SSDNeck',
        in_channels=channels[:2],
        out_channels=channels,
        level_strides=(2, 2),
        level_paddings=(1, 1),
        l2_norm_scale=None,
    ),
    bbox_head=dict(
        type='PredictingSSDHead',
        num_classes=num_classes,
        in_channels=channels,
        anchor_generator=dict(
            type='SSDAnchorGenerator',
            scale_major=False,
            strides=[16, 32, 64, 128],
            ratios=[[2], [2, 3], [2, 3], [2]],
            min_sizes=[32, 64, 112, 160],  # for images of 256 x 256
            max_sizes=[64, 112, 160, 224],
        ),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=[0.1, 0.1, 0.2, 0.2]
        ),
    ),
    train_cfg=dict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.5,
            min_pos_iou=0.0,
            ignore_iof_thr=-1,
            gt_max_assign_all=False,
        ),
        sampler=dict(type='PseudoSampler'),
        smoothl1_beta=1.0,
        allowed_border=-1,
        pos_weight=-1,
        neg_pos_ratio=3,
        debug=False,
    ),
    test_cfg=dict(
        nms_pre=1000,
        nms=dict(type='nms', iou_threshold=0.45),
        min_bbox_size=0,
        score_thr=0.02,
        max_per_img=100,
    ),
)

default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP'))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[1].T_max = param_scheduler[1].end = max_epochs
