"""A rectangle of random area and aspect ratio, filled with noise, in every second image."""

_base_ = '../../retinanet_parking_slots.py'

train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(
        type='DetRandomErasing',
        prob=0.5,
        area=(0.02, 0.4),
        aspect=0.3,
        drop_covered=0.9,  # boxes of which more is covered
    ),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
