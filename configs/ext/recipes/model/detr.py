"""A small DETR: position encodings, attention and feed-forward layers, each by its own entry."""

_base_ = '../../retinanet_parking_slots.py'

channels = 64
attention = dict(embed_dims=channels, num_heads=4, dropout=0.1)
feed_forward = dict(
    embed_dims=channels, feedforward_channels=256, ffn_drop=0.1, act_cfg=dict(type='GELU')
)

model = dict(
    _delete_=True,
    type='DETR',
    num_queries=50,
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=dict(_base_.model.backbone, out_indices=(3,)),
    neck=dict(
        type='ChannelMapper',
        in_channels=[_base_.base_channels * 8],
        kernel_size=1,
        out_channels=channels,
        act_cfg=None,
        num_outs=1,
    ),
    encoder=dict(num_layers=2, layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=feed_forward)),
    decoder=dict(
        num_layers=2,
        layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=feed_forward),
        return_intermediate=True,
    ),
    positional_encoding=dict(num_feats=channels // 2, normalize=True),  # features of each axis
    bbox_head=dict(type='DETRHead', num_classes=_base_.num_classes, embed_dims=channels),
    train_cfg=dict(
        assigner=dict(
            type='HungarianAssigner',
            match_costs=[
                dict(type='ClassificationCost', weight=1.0),
                dict(type='BBoxL1Cost', weight=5.0, box_format='xywh'),
                dict(type='IoUCost', iou_mode='giou', weight=2.0),
            ],
        )
    ),
    test_cfg=dict(max_per_img=50),
)
