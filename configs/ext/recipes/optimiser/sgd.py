"""Stochastic gradient descent with Nesterov's momentum."""

_base_ = '../../psd_yolo.py'

optim_wrapper = dict(
    optimizer=dict(
        _delete_=True, type='SGD', lr=0.02, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
)
