"""RMSProp as it was published: decay 0.9, rate 0.001."""

_base_ = '../../psd_yolo.py'

optim_wrapper = dict(optimizer=dict(_delete_=True, type='RMSprop', lr=1e-3, alpha=0.9))
