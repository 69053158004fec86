"""Mosaic of four images and mixup with a fifth, as YOLOX does it."""

_base_ = '../../retinanet_parking_slots.py'

image_size = (256, 256)

load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
train_pipeline = [
    dict(type='Mosaic', img_scale=image_size, pad_val=114.0),
    dict(
        type='RandomAffine',
        scaling_ratio_range=(0.5, 1.5),
        border=(-image_size[0] // 2, -image_size[1] // 2),  # mosaics are twice as large
    ),
    dict(type='MixUp', img_scale=image_size, ratio_range=(0.8, 1.6), pad_val=114.0),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), keep_empty=False),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MultiImageMixDataset',
        dataset=dict(_base_.train_dataloader.dataset, pipeline=load),
        pipeline=train_pipeline,
    )
)
