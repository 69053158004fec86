"""Mixed precision in float16 with a dynamic loss scale; needs a GPU."""

_base_ = '../../psd_yolo.py'

optim_wrapper = dict(
    _delete_=True,
    type='AmpOptimWrapper',
    optimizer=_base_.optim_wrapper.optimizer,
    clip_grad=_base_.optim_wrapper.clip_grad,  # after the scale is taken off
    loss_scale=dict(init_scale=512, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000),
)
