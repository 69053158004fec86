"""Parking slots and marking points on surround-view images: the default.

Trains on synthetic scenes that are made on first use; for your own data set `data_root` to a
folder with train.json and val.json in parking-slot COCO and delete `synthetic_data`.
"""

_base_ = [
    '../_base_/models/psd_yolo.py',
    '../_base_/datasets/parking_slots.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/default_runtime.py',
]

# What you are likely to change.
data_root = 'data/surround_view/'
classes = ('perpendicular', 'parallel', 'slanted')
image_size = (256, 256)  # width, height; multiples of 32
batch_size = 8
num_workers = 0  # best for training on two CPU cores; with a GPU 4 or more
max_epochs = 16
base_lr = 5e-3

# Made under data_root when its JSON files are missing.
synthetic_data = dict(out_dir=data_root, splits=dict(train=1600, val=200), size=512, seed=0)

# The rest follows.
train_pipeline = [
    dict(type='LoadParkingSlotImage'),
    dict(type='LoadParkingSlotAnnotations'),
    dict(
        type='ParkingSlotAffine',
        size=image_size,
        rotation=(-15, 15),
        quarter_turns=True,
        flip_prob=0.5,
        scale=(0.9, 1.1),
        shift=0.05,
    ),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='PackParkingSlotInputs'),
]
test_pipeline = [
    dict(type='LoadParkingSlotImage'),
    dict(type='LoadParkingSlotAnnotations'),
    dict(type='ParkingSlotAffine', size=image_size),
    dict(type='PackParkingSlotInputs'),
]

# --tta: four quarter turns, each also mirrored.
tta_model = dict(type='ParkingSlotTTAModel')
tta_pipeline = [
    dict(type='LoadParkingSlotImage'),
    dict(type='LoadParkingSlotAnnotations'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='ParkingSlotAffine', size=image_size, rotation=(turn, turn), flip_prob=p)
                for turn in (0, 90, 180, 270)
                for p in (0, 1)
            ],
            [dict(type='PackParkingSlotInputs')],
        ],
    ),
]

metainfo = dict(classes=classes)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=num_workers > 0,
    dataset=dict(
        data_root=data_root, ann_file='train.json', metainfo=metainfo, pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=num_workers > 0,
    dataset=dict(
        data_root=data_root, ann_file='val.json', metainfo=metainfo, pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='ParkingSlotMetric', ann_file=data_root + 'val.json'),
    dict(type='CocoMetric', ann_file=data_root + 'val.json', metric='bbox'),
]
test_evaluator = val_evaluator

model = dict(bbox_head=dict(num_classes=len(classes)))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[1].T_max = param_scheduler[1].end = max_epochs
