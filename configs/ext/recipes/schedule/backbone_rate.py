"""The backbone learns at a tenth of the rate of neck and head."""

_base_ = '../../psd_yolo.py'

optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}))
