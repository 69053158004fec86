"""One to three grey squares over the image."""

_base_ = '../../retinanet_parking_slots.py'

train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='CutOut', n_holes=(1, 3), cutout_shape=(48, 48), fill_in=(114, 114, 114)),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
