"""The same head on the real strips of PSDet, which label marking points alone.

Point confidence and offset are supervised, every other loss is masked. Make the labels first:

    python tools/dataset/convert.py psdet FOLDER_OF_THE_STRIPS data/psdet
"""

_base_ = 'psd_yolo.py'

# What you are likely to change.
data_root = 'data/psdet/'  # train.json and val.json, which lead to the strips
image_size = (96, 320)  # width, height; multiples of 32; the size of most strips, padded
batch_size = 16
max_epochs = 16
base_lr = 3e-3

synthetic_data = None

# The rest follows.
_turn = dict(type='ParkingSlotAffine', size=image_size, flip_prob=0.5, scale=(0.8, 1.25), shift=0.1)
train_pipeline = [
    dict(type='LoadParkingSlotImage'),
    dict(type='LoadParkingSlotAnnotations'),
    dict(  # rows beside the car, to its other side, and anywhere
        type='RandomChoice',
        transforms=[
            [{**_turn, 'rotation': (-25, 25)}],
            [{**_turn, 'rotation': (155, 205)}],
            [{**_turn, 'rotation': (0, 360), 'shift': 0.2}],
        ],
        prob=[0.3, 0.3, 0.4],
    ),
    dict(type='PhotoMetricDistortion'),  # stronger than the default's: sites differ in light
    dict(type='PackParkingSlotInputs'),
]
test_pipeline = _base_.test_pipeline
test_pipeline[2].size = image_size

tta_pipeline = _base_.tta_pipeline  # --tta: mirrored, not turned
tta_pipeline[2].transforms[0] = [
    dict(type='ParkingSlotAffine', size=image_size, flip_prob=p) for p in (0, 1)
]

train_dataloader = dict(
    batch_size=batch_size, dataset=dict(data_root=data_root, pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [dict(type='ParkingSlotMetric', ann_file=data_root + 'val.json')]
test_evaluator = val_evaluator

# Small pictures: everything one level finer than in the default.
model = dict(
    backbone=dict(out_indices=(1, 2, 3, 4)),
    neck=dict(in_channels=[32, 64, 128, 256]),
    bbox_head=dict(point_stride=4, slot_stride=4, point_sigma=0.9, slot_dilations=()),
    test_cfg=dict(fuse_scores=False),  # the slot branch is not trained, and as small as can be
)
default_hooks = dict(checkpoint=dict(save_best='point/f1'))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[1].T_max = param_scheduler[1].end = max_epochs
