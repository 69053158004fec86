"""The default at 512 px: closer to the ground truth of 512 and 600 px data sets; for a GPU."""

_base_ = 'psd_yolo.py'

image_size = (512, 512)
num_workers = 4

train_pipeline = _base_.train_pipeline
train_pipeline[2].size = image_size
test_pipeline = _base_.test_pipeline
test_pipeline[2].size = image_size
tta_pipeline = _base_.tta_pipeline
for step in tta_pipeline[2].transforms[0]:
    step.size = image_size

loader = dict(num_workers=num_workers, persistent_workers=True)
train_dataloader = dict(**loader, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(**loader, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
