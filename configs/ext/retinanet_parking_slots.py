"""Boxes of parking slots by a narrow RetinaNet (0.9 M parameters): the base to compare components on.

Only `loss_bbox` and `reg_decoded_bbox` change for losses on boxes (IoU, GIoU, ...); see
tools/analysis/compare_losses.py.
"""

_base_ = [
    'mmdet::_base_/models/retinanet_r50_fpn.py',
    '../_base_/datasets/parking_slot_boxes.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/default_runtime.py',
]

# What you are likely to change.
num_classes = 3
base_channels = 16
neck_channels = 48
max_epochs = 8
base_lr = 2e-3

# --tta: the image and its mirrorings, all of which training showed, too; other sizes than that of training
# make it worse. Stock `nms` keeps one box of each object and gains nothing; weighted, all count.
tta_model = dict(
    type='DetTTAModel',
    tta_cfg=dict(nms=dict(type='weighted_nms', iou_threshold=0.6), max_per_img=100),
)
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=_base_.image_size, keep_ratio=True)],
            [
                dict(type='RandomFlip', prob=0.0),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='vertical'),
                dict(type='RandomFlip', prob=1.0, direction='diagonal'),
            ],
            [dict(type='LoadAnnotations', with_bbox=True)],
            [
                dict(
                    type='PackDetInputs',
                    meta_keys=(
                        'img_id',
                        'img_path',
                        'ori_shape',
                        'img_shape',
                        'scale_factor',
                        'flip',
                        'flip_direction',
                    ),
                )
            ],
        ],
    ),
]

# The rest follows.
model = dict(
    backbone=dict(
        depth=18,
        base_channels=base_channels,
        frozen_stages=-1,
        norm_eval=False,  # no pretrained statistics to keep
        init_cfg=None,
    ),
    neck=dict(
        in_channels=[base_channels * 2**i for i in range(4)], out_channels=neck_channels, num_outs=4
    ),
    bbox_head=dict(
        num_classes=num_classes,
        in_channels=neck_channels,
        feat_channels=neck_channels,
        stacked_convs=2,
        anchor_generator=dict(strides=[8, 16, 32, 64]),  # anchors of 32 to 406 px
    ),
)
default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP'))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[1].T_max = param_scheduler[1].end = max_epochs
