"""Training ends when the validation gets no better."""

_base_ = '../../psd_yolo.py'

train_cfg = dict(max_epochs=60, val_interval=1)
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EarlyStoppingHook', monitor='slot/f1', rule='greater', min_delta=1e-3, patience=5),
]
