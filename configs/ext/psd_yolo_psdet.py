"""The same head on the real strips of PSDet, which label marking points alone.

The strips show one side of the car. Point confidence and offset are supervised; every other loss is masked.
Make the labels first:  python tools/dataset/convert.py psdet DATA_ROOT data/psdet
"""

_base_ = 'psd_yolo.py'

# What you are likely to change.
data_root = '../shared/data/psdet/'  # the strips
ann_root = 'data/psdet/'  # train.json and val.json, made from them
image_size = (192, 608)  # width, height; multiples of 32
max_epochs = 8
base_lr = 2e-3

synthetic_data = None

# The rest follows.
train_pipeline = [
    dict(type='LoadParkingSlotImage'),
    dict(type='LoadParkingSlotAnnotations'),
    dict(
        type='ParkingSlotAffine',
        size=image_size,
        rotation=(-15, 15),
        flip_prob=0.5,
        scale=(0.8, 1.2),
        shift=0.1,
    ),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackParkingSlotInputs'),
]
test_pipeline = [
    dict(type='LoadParkingSlotImage'),
    dict(type='LoadParkingSlotAnnotations'),
    dict(type='ParkingSlotAffine', size=image_size),
    dict(type='PackParkingSlotInputs'),
]

root = dict(data_root='', data_prefix=dict(img=data_root))
train_dataloader = dict(
    dataset=dict(**root, ann_file=ann_root + 'train.json', pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(**root, ann_file=ann_root + 'val.json', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [dict(type='ParkingSlotMetric', ann_file=ann_root + 'val.json')]
test_evaluator = val_evaluator

default_hooks = dict(checkpoint=dict(save_best='point/f1'))
train_cfg = dict(max_epochs=max_epochs, val_interval=4)
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs,
        eta_min=0,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
