"""The backbone of a checkpoint on disk: `init_cfg` with a prefix."""

_base_ = '../../psd_yolo.py'

checkpoint = str(
    __import__('pathlib').Path(__import__('mmdet_ext').__file__).parent
    / 'checkpoints/psd_yolo_ready.pth'
)

model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.'))
)
