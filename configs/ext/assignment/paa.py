"""PAA (Kim and Lee, 2020): a mixture of two Gaussians parts each object's candidates by their losses.

A head of its own, all else the same. Needs scikit-learn: pip install 'mmdet_ext[data]'.
"""

_base_ = 'base.py'

try:
    __import__('sklearn')  # an import statement would make this a config of mmengine's other kind
except ImportError as error:
    raise ImportError("PAAHead needs scikit-learn: pip install 'mmdet_ext[data]'") from error

model = dict(
    bbox_head=dict(
        _delete_=True,
        type='PAAHead',
        reg_decoded_bbox=True,
        score_voting=True,
        topk=9,
        num_classes=_base_.num_classes,
        in_channels=_base_.channels,
        feat_channels=_base_.channels,
        stacked_convs=2,
        anchor_generator=dict(
            type='AnchorGenerator',
            ratios=[1.0],
            octave_base_scale=8,
            scales_per_octave=1,
            strides=_base_.strides,
        ),
        norm_cfg=_base_.head_norm,
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[0.1, 0.1, 0.2, 0.2],
        ),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=1.3),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=0.5),
    ),
    train_cfg=dict(
        _delete_=True,
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.1, neg_iou_thr=0.1, min_pos_iou=0),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
)
