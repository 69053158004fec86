"""The default with stochastic weight averaging over its last epochs.

Izmailov et al.: Averaging Weights Leads to Wider Optima and Better Generalization, 2018,
arXiv:1803.05407. Running means of batch norms are averaged along, not computed anew from the data.
"""

_base_ = 'psd_yolo.py'

# What you are likely to change.
swa_begin = 12  # epoch from which on weights are averaged, of the base's max_epochs
swa_lr = 5e-4  # kept from then on, so that the weights keep moving

# The rest follows.
param_scheduler = _base_.param_scheduler
param_scheduler[1].T_max = param_scheduler[1].end = swa_begin
param_scheduler[1].eta_min = swa_lr
custom_hooks = [
    *_base_.custom_hooks,
    dict(
        type='EMAHook',
        ema_type='StochasticWeightAverage',
        begin_epoch=swa_begin + 1,
        update_buffers=True,
    ),
]
