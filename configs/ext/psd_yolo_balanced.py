"""The default with its nine losses balanced by learned uncertainties.

Any balancer of mmdet_ext.models.loss_balancing fits. Weights are logged as weight/<name of the loss>.
"""

_base_ = 'psd_yolo.py'

# What you are likely to change.
balancer = dict(type='UncertaintyWeighting')

# The rest follows.
model = dict(_delete_=True, type='LossBalancedDetector', detector=_base_.model, balancer=balancer)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(loss_balancer=dict(decay_mult=0)))  # would pull them to 1
)
