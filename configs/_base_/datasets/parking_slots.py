"""Parking-slot COCO: loaders and evaluators; paths and pipelines come from the child config."""

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='ParkingSlotDataset', data_prefix=dict(img=''), pipeline=[]),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ParkingSlotDataset', data_prefix=dict(img=''), test_mode=True, pipeline=[]),
)
test_dataloader = val_dataloader
