"""Boxes of parking slots by YOLOv1, a quarter as wide as in the paper and with batch norm (2.6 M parameters).

The paper's network: image_size (448, 448), grid_size (7, 7), widen_factor 1, hidden_channels 4096, dropout
0.5 and no norm_cfg. Its fully connected layers take many epochs to learn where in a cell an object is.
"""

_base_ = [
    '../_base_/datasets/parking_slot_boxes.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/default_runtime.py',
]

# What you are likely to change.
num_classes = 3
image_size = (256, 256)  # width, height; multiples of 64
grid_size = None  # a cell for each 32 x 32 px, by convolutions; (rows, columns): fully connected
widen_factor = 0.25
hidden_channels = 256
dropout = 0.0
max_epochs = 12
base_lr = 1e-3

# The rest follows.
model = dict(
    type='SingleStageDetector',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[127.5, 127.5, 127.5],  # to -1..1, as in the paper
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        pad_size_divisor=64,
    ),
    backbone=dict(
        type='YOLOv1Darknet',
        out_indices=(4 if grid_size is None else 5,),
        widen_factor=widen_factor,
        norm_cfg=dict(type='BN'),
    ),
    bbox_head=dict(
        type='YOLOv1Head',
        num_classes=num_classes,
        in_channels=int(1024 * widen_factor),
        grid_size=grid_size,
        feature_size=(image_size[1] // 64, image_size[0] // 64),
        num_boxes=2,
        hidden_channels=hidden_channels,
        dropout=dropout,
    ),
    test_cfg=dict(
        score_thr=0.01,
        min_bbox_size=0,
        nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=100,
    ),
)
train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = image_size
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = image_size
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP'))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[1].T_max = param_scheduler[1].end = max_epochs
