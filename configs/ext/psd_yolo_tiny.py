"""The default, so small that training takes seconds: to try out a change, a hook, a machine.

It learns nothing worth having. tools/analysis/crash_test.py kills it again and again.
"""

_base_ = 'psd_yolo.py'

# What you are likely to change.
data_root = 'data/tiny/'
image_size = (64, 64)
batch_size = 4
num_workers = 0
max_epochs = 4

# The rest follows.
synthetic_data = dict(out_dir=data_root, splits=dict(train=12, val=4), size=128)
train_pipeline = _base_.train_pipeline
test_pipeline = _base_.test_pipeline
tta_pipeline = _base_.tta_pipeline
train_pipeline[2].size = test_pipeline[2].size = image_size
for warp in tta_pipeline[2].transforms[0]:
    warp.size = image_size
loader = dict(batch_size=batch_size, num_workers=num_workers, persistent_workers=num_workers > 0)
train_dataloader = dict(**loader, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(**loader, dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [dict(type='ParkingSlotMetric', ann_file=data_root + 'val.json')]
test_evaluator = val_evaluator
model = dict(backbone=dict(widen_factor=0.125), neck=dict(in_channels=[32, 64, 128]))
train_cfg = dict(max_epochs=max_epochs, val_interval=1)
optim_wrapper = dict(accumulative_counts=2)  # of three batches: gradients wait between the epochs
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 4
param_scheduler[1].T_max = param_scheduler[1].end = max_epochs
custom_hooks = [  # those with a state
    dict(type='SampleSeedHook'),
    dict(type='InterruptHook'),
    dict(type='EMAHook', momentum=0.1, update_buffers=True),
]
default_hooks = dict(visualization=dict(_delete_=True, type='DetVisualizationHook'))
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(vis_backends=vis_backends)
