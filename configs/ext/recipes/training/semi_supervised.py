"""Soft Teacher: a mean teacher labels the images that have no labels."""

_base_ = 'mmdet::soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py'

batch_size = 2  # of which the sampler takes one image with labels and one without

model = dict(
    detector=dict(
        backbone=dict(depth=18, init_cfg=None), neck=dict(in_channels=[64, 128, 256, 512])
    )
)
train_dataloader = dict(
    batch_size=batch_size, sampler=dict(batch_size=batch_size, source_ratio=[1, 1])
)
