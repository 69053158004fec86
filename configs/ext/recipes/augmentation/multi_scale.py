"""Images of a random size, a new one for each."""

_base_ = '../../retinanet_parking_slots.py'

scales = [(192, 192), (320, 320)]  # any size between; for a choice of sizes RandomChoiceResize

train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='RandomResize', scale=scales, keep_ratio=True),
    *_base_.train_pipeline[3:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
