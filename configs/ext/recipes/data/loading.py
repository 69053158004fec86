"""Images loaded by four processes, pinned, copied to the GPU while it computes."""

_base_ = '../../retinanet_parking_slots.py'

num_workers = 4

train_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='cv2'),
    *_base_.train_pipeline[1:],
]
train_dataloader = dict(
    num_workers=num_workers,
    persistent_workers=num_workers > 0,
    pin_memory=True,
    dataset=dict(pipeline=train_pipeline),
)
model = dict(data_preprocessor=dict(non_blocking=True))
