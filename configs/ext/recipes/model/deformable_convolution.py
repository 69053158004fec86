"""Deformable convolutions, second version, in the last three stages of a ResNet-50."""

_base_ = '../../retinanet_parking_slots.py'

model = dict(
    backbone=dict(
        depth=50,
        dcn=dict(type='DCNv2', deform_groups=1, fallback_on_stride=False),
        stage_with_dcn=(False, True, True, True),
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',  # mmcv's deformable convolution takes no bfloat16 on the CPU
    optimizer=_base_.optim_wrapper.optimizer,
    clip_grad=_base_.optim_wrapper.clip_grad,
)
