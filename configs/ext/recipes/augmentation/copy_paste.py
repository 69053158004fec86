"""Objects of another image, cut out along their masks (simple copy-paste)."""

_base_ = '../../retinanet_parking_slots.py'

load = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=_base_.image_size, keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=_base_.image_size),
]
train_pipeline = [dict(type='CopyPaste', max_num_pasted=10), dict(type='PackDetInputs')]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MultiImageMixDataset',
        dataset=dict(_base_.train_dataloader.dataset, pipeline=load),
        pipeline=train_pipeline,
    )
)
