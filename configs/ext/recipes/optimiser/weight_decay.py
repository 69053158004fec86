"""Weight decay on weights of convolutions alone, not on norms and biases."""

_base_ = '../../psd_yolo.py'

optim_wrapper = dict(
    optimizer=dict(weight_decay=0.05), paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0)
)
