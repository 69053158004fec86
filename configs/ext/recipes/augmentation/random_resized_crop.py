"""A part of random area and aspect ratio, stretched to one size, as torchvision draws it."""

_base_ = '../../retinanet_parking_slots.py'

train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='DetRandomResizedCrop', size=_base_.image_size, scale=(0.3, 1.0)),
    dict(
        type='FilterAnnotations', min_gt_bbox_wh=(4, 4), keep_empty=False
    ),  # slivers at the border
    *_base_.train_pipeline[3:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
