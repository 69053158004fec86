"""A step for every four batches of two images, as if it were one of eight."""

_base_ = '../../psd_yolo.py'

train_dataloader = dict(batch_size=2)
optim_wrapper = dict(accumulative_counts=4)
