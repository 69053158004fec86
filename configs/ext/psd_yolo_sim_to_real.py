"""Trained on synthetic strips alone, tested on the real ones of PSDet: no real image in training.

The synthetic strips are made on first use; for the labels of the real ones see psd_yolo_psdet.py.
"""

_base_ = 'psd_yolo_psdet.py'

# What you are likely to change.
train_root = 'data/strips/'
max_epochs = 20
base_lr = 8e-3
synthetic_data = dict(
    _delete_=True, out_dir=train_root, splits=dict(train=6000), preset='strip_like', seed=4
)

# The rest follows.
local_contrast = dict(type='LocalContrast', clip_limit=3.0, tiles=(2, 6))  # light differs most
train_pipeline = _base_.train_pipeline
train_pipeline.insert(1, local_contrast)
test_pipeline = _base_.test_pipeline
test_pipeline.insert(1, local_contrast)
tta_pipeline = _base_.tta_pipeline
tta_pipeline.insert(1, local_contrast)

train_dataloader = dict(
    dataset=dict(
        data_root=train_root,
        labels=['marking_points'],  # what the real ones are tested for
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[1].T_max = param_scheduler[1].end = max_epochs
