"""Boxes of parking slots for stock detectors: stock data set, pipelines and metric, 256 x 256 px.

The synthetic scenes are those of ext/psd_yolo.py and are made on first use. The boxes of slanted slots
overlap a lot: a crowded scene. A config that inherits from this also sets `save_best`: see
ext/retinanet_parking_slots.py.
"""

data_root = 'data/surround_view/'
image_size = (256, 256)  # width, height
batch_size = 8
num_workers = 0  # best for training on two CPU cores; with a GPU 4 or more

synthetic_data = dict(out_dir=data_root, splits=dict(train=1600, val=200), size=512, seed=0)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(
        type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']
    ),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]

metainfo = dict(
    classes=('perpendicular', 'parallel', 'slanted'),
    palette=[(64, 170, 255), (255, 170, 40), (240, 90, 170)],
)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=num_workers > 0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='train.json',
        data_prefix=dict(img=''),
        metainfo=metainfo,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=num_workers > 0,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='val.json',
        data_prefix=dict(img=''),
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(
    type='CocoMetric', ann_file=data_root + 'val.json', metric='bbox', format_only=False
)
test_evaluator = val_evaluator
