"""From the checkpoint that comes with the package to your own labelled images, few or many.

The backbone is frozen at first, then all parts learn at small rates, earlier layers at smaller ones.
"""

_base_ = 'psd_yolo_ready.py'

# What you are likely to change.
data_root = 'data/own/'  # with train.json and val.json in parking-slot COCO, see tools/dataset
classes = (
    'perpendicular',
    'parallel',
    'slanted',
)  # of another number: as far as they go, by position
checkpoint = str(  # or one of your own
    __import__('pathlib').Path(__import__('mmdet_ext').__file__).parent
    / 'checkpoints/psd_yolo_ready.pth'
)
frozen = ['backbone']  # names of parts, globs or 're:...'; see FreezeHook
frozen_epochs = 2  # only the rest learns so long
max_epochs = 10
base_lr = 1e-3  # of neck and head; a fifth of what training anew begins with
layer_decay_rate = 0.7  # the last stage of the backbone learns at this times base_lr, and so on
batch_size = 8

# The rest follows.
synthetic_data = None
metainfo = dict(classes=classes)
train_dataloader = dict(
    batch_size=batch_size,
    dataset=dict(
        _delete_=True,
        type='ParkingSlotDataset',
        data_root=data_root,
        ann_file='train.json',
        data_prefix=dict(img=''),
        metainfo=metainfo,
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(batch_size=batch_size, dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader
val_evaluator = _base_.val_evaluator
for metric in val_evaluator:
    metric.ann_file = data_root + 'val.json'
test_evaluator = val_evaluator

model = dict(bbox_head=dict(num_classes=len(classes)))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='PartialLoadHook', checkpoint=checkpoint, mismatch='slice'),
    dict(type='FreezeHook', freeze=frozen, until_epoch=frozen_epochs),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=1)
optim_wrapper = dict(
    optimizer=dict(lr=base_lr),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=layer_decay_rate, norm_decay_mult=0, bias_decay_mult=0),
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 20  # few images have few iterations
param_scheduler[1].T_max = param_scheduler[1].end = max_epochs
