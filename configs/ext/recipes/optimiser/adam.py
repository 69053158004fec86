"""Adam, with its published constants."""

_base_ = '../../psd_yolo.py'

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='Adam', lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
)
