"""A small detector also learns from a larger one where the sides of boxes lie."""

_base_ = 'distillation_teacher.py'

teacher_checkpoint = None  # of a training of distillation_teacher.py
loss_distillation = dict(type='KnowledgeDistillationKLDivLoss', loss_weight=0.25, T=10)
channels = 48

model = dict(
    type='KnowledgeDistillationSingleStageDetector',
    teacher_config=dict(model=_base_.model.to_dict()),
    teacher_ckpt=teacher_checkpoint,
    backbone=dict(depth=18),
    neck=dict(in_channels=[_base_.base_channels * 2**i for i in range(4)], out_channels=channels),
    bbox_head=dict(
        type='LDHead', in_channels=channels, feat_channels=channels, loss_ld=loss_distillation
    ),
)
