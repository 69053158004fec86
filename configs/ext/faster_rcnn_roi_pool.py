"""Boxes of parking slots by a narrow Faster R-CNN with RoI pooling, on the CPU too (1.5 M parameters).

To compare, put another layer into `roi_layer`: for RoI alignment by four samples of which the largest
counts, dict(type='RoIAlign', output_size=7, sampling_ratio=2, pool_mode='max') in an extractor of type
'SingleRoIExtractor'.
"""

_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    '../_base_/datasets/parking_slot_boxes.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/default_runtime.py',
]

# What you are likely to change.
num_classes = 3
base_channels = 16
neck_channels = 48
max_epochs = 12
base_lr = 2e-3

# The rest follows.
model = dict(
    backbone=dict(
        depth=18,
        base_channels=base_channels,
        frozen_stages=-1,
        norm_eval=False,  # no pretrained statistics to keep
        init_cfg=None,
    ),
    neck=dict(in_channels=[base_channels * 2**i for i in range(4)], out_channels=neck_channels),
    rpn_head=dict(
        in_channels=neck_channels,
        feat_channels=neck_channels,
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            type='TorchvisionRoIExtractor',
            roi_layer=dict(_delete_=True, type='RoIPool', output_size=7),
            out_channels=neck_channels,
        ),
        bbox_head=dict(in_channels=neck_channels, fc_out_channels=256, num_classes=num_classes),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=300), rcnn=dict(sampler=dict(num=128))
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)),
)

default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP'))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',  # mmcv's NMS of the proposals takes no bfloat16
    optimizer=dict(type='FusedAdamW', lr=base_lr, weight_decay=0.05),
    clip_grad=dict(max_norm=35),
)
param_scheduler = _base_.param_scheduler
param_scheduler[1].T_max = param_scheduler[1].end = max_epochs
