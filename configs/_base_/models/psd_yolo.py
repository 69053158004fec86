"""PSDHead on a narrow YOLOX backbone and neck (1.8 M parameters)."""

num_classes = 3
widen_factor = 0.25
deepen_factor = 0.33
neck_channels = 48
norm_cfg = dict(type='BN')  # stock momentum 0.03 is too slow for short schedules
act_cfg = dict(type='ReLU', inplace=True)  # on CPU a sixth cheaper than SiLU

model = dict(
    type='ParkingSlotDetector',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[103.53, 116.28, 123.675],
        std=[57.375, 57.12, 58.395],
        bgr_to_rgb=False,
        pad_size_divisor=32,
        pad_value=114,
    ),
    backbone=dict(
        type='CSPDarknet',
        deepen_factor=deepen_factor,
        widen_factor=widen_factor,
        out_indices=(2, 3, 4),
        norm_cfg=norm_cfg,
        act_cfg=act_cfg,
    ),
    neck=dict(
        type='YOLOXPAFPN',
        in_channels=[int(c * widen_factor) for c in (256, 512, 1024)],
        out_channels=neck_channels,
        num_csp_blocks=1,
        norm_cfg=norm_cfg,
        act_cfg=act_cfg,
    ),
    bbox_head=dict(
        type='PSDHead',
        num_classes=num_classes,
        in_channels=neck_channels,
        feat_channels=neck_channels,
        point_level=0,
        point_stride=8,
        slot_level=0,
        slot_stride=8,
        norm_cfg=norm_cfg,
        act_cfg=act_cfg,
    ),
)
