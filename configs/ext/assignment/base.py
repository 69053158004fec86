"""Boxes of parking slots by points: one small detector to compare ways of assignment on.

A child a way: `ota.py`, `atss.py`, ... Most change `assigner` alone. Where a way is a head of its own
(centre region, FreeAnchor, PAA, AutoAssign, IQDet), the child changes the head and its loss; all else
is the same. `tools/analysis/assignment.py CONFIG INDEX` draws what becomes positive for what.
"""

_base_ = [
    '../../_base_/datasets/parking_slot_boxes.py',
    '../../_base_/schedules/adamw_cosine.py',
    '../../_base_/default_runtime.py',
]

# What you are likely to change.
assigner = dict(type='SimOTAAssigner', center_radius=2.5)  # of any head of points; YOLOX's own
num_classes = 3
base_channels = 16
channels = 48  # of the neck and the head
max_epochs = 12
base_lr = 2e-3

# The rest follows.
strides = [8, 16, 32, 64]
head_norm = dict(type='GN', num_groups=8)
model = dict(
    type='SingleStageDetector',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=64,
    ),
    backbone=dict(
        type='ResNet',
        depth=18,
        base_channels=base_channels,
        norm_eval=False,  # no pretrained statistics to keep
    ),
    neck=dict(
        type='FPN',
        in_channels=[base_channels * 2**i for i in range(4)],
        out_channels=channels,
        start_level=1,
        add_extra_convs='on_output',
        num_outs=4,
    ),
    bbox_head=dict(
        type='YOLOXHead',
        num_classes=num_classes,
        in_channels=channels,
        feat_channels=channels,
        stacked_convs=2,
        strides=strides,
        norm_cfg=head_norm,
    ),
    train_cfg=dict(assigner=assigner),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.01,
        nms=dict(type='nms', iou_threshold=0.65),
        max_per_img=100,
    ),
)
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[1].T_max = param_scheduler[1].end = max_epochs
