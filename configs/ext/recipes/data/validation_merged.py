"""After tuning: training on train.json and val.json together, without validation."""

_base_ = '../../retinanet_parking_slots.py'

train = _base_.train_dataloader.dataset

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[train, dict(train, ann_file='val.json')],
    )
)
val_cfg = val_dataloader = val_evaluator = None
default_hooks = dict(checkpoint=dict(save_best=None))
