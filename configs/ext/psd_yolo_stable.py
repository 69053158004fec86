"""The default with all that keeps a training going: bad batches, too little memory, no more progress."""

_base_ = 'psd_yolo.py'

# What you are likely to change.
max_epochs = 40  # at most: it stops when the validation gets no better
val_interval = 2
patience = 5  # validations without a better slot/f1
batch_size = 2
accumulated = 4  # batches per step: a step sees 8 images, as those that base_lr is for

# The rest follows.
train_dataloader = dict(batch_size=batch_size)
optim_wrapper = dict(accumulative_counts=accumulated)
train_cfg = dict(max_epochs=max_epochs, val_interval=val_interval)
param_scheduler = _base_.param_scheduler
param_scheduler[1].T_max = param_scheduler[1].end = max_epochs
custom_hooks = [
    *(hook for hook in _base_.custom_hooks if hook['type'] != 'NonFiniteGuardHook'),
    dict(type='NonFiniteGuardHook', action='skip'),  # or stop, roll_back
    dict(type='OutOfMemoryHook'),
    # What is validated and saved; running means of batch norms are averaged with the weights.
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=2e-4, update_buffers=True),
    dict(type='ResumableEarlyStoppingHook', monitor='slot/f1', patience=patience),
]
