"""The model of the checkpoint that comes with the package: synthetic scenes of every kind, no real image.

Surround views of all sites, those of the default, and strips beside the car; made on first use.
The checkpoint itself learnt in three rounds, each started from the one before (`load_from`): 14 epochs without
the scenes of the default, 2 on 4,000 new scenes of `all` (seed 8) instead, and 6 on 2,800 of these and the rest.
Its scenes had no streaks of distant lights yet.
"""

_base_ = 'psd_yolo.py'

# What you are likely to change.
data_root = 'data/all/'
plain_root = _base_.data_root
strips_root = 'data/strips/'  # those of psd_yolo_sim_to_real.py
image_size = (320, 320)
max_epochs = 22
synthetic_data = [
    _base_.synthetic_data,
    dict(out_dir=data_root, splits=dict(train=3200, val=200), preset='all', size=512, seed=7),
    dict(out_dir=strips_root, splits=dict(train=6000), preset='strip_like', seed=4),
]

# The rest follows.
train_pipeline = _base_.train_pipeline
train_pipeline[2].size = image_size
train_pipeline[2].scale = (0.75, 1.25)
train_pipeline[3] = dict(type='PhotoMetricDistortion')
test_pipeline = _base_.test_pipeline
test_pipeline[2].size = image_size
tta_pipeline = _base_.tta_pipeline
for step in tta_pipeline[2].transforms[0]:
    step.size = image_size

scenes = dict(
    type='ParkingSlotDataset',
    ann_file='train.json',
    data_prefix=dict(img=''),
    metainfo=_base_.metainfo,
    pipeline=train_pipeline,
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(data_root=data_root, **scenes),
            dict(data_root=plain_root, **scenes),
            dict(data_root=strips_root, indices=1200, **scenes),
        ],
    )
)
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = _base_.val_evaluator
for metric in val_evaluator:
    metric.ann_file = data_root + 'val.json'
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].T_max = param_scheduler[1].end = max_epochs
