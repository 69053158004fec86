"""The learning rate grows with the number of processes."""

_base_ = '../../psd_yolo.py'

auto_scale_lr = dict(enable=True, base_batch_size=8)  # the batch size that base_lr was chosen for
