"""The default with a learning rate that falls when the validation gets no better, and then stops."""

_base_ = 'psd_yolo.py'

# What you are likely to change.
max_epochs = 60  # at most
val_interval = 1
monitor = 'slot/f1'
patience = 3  # validations without a better one before the rate falls
factor = 0.2

# The rest follows.
train_cfg = dict(max_epochs=max_epochs, val_interval=val_interval)
param_scheduler = [
    _base_.param_scheduler[0],
    # Stock defaults wait for `loss`, which no validation gives, and for less of it.
    dict(
        type='ReduceOnPlateauLR',
        monitor=monitor,
        rule='greater',
        factor=factor,
        patience=patience,
        min_value=1e-6,
    ),
]
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='ResumableEarlyStoppingHook', monitor=monitor, patience=3 * patience),
]
