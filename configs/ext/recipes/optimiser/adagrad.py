"""AdaGrad."""

_base_ = '../../psd_yolo.py'

optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adagrad', lr=0.01))
