"""One cycle: up to the highest rate in a third of the training, down to nothing in the rest."""

_base_ = '../../psd_yolo.py'

param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=_base_.base_lr,
        total_steps=_base_.max_epochs,
        pct_start=0.3,
        convert_to_iter_based=True,
    ),
]
