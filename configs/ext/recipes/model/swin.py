"""A small Swin transformer as the backbone, with stochastic depth (`drop_path_rate`)."""

_base_ = '../../retinanet_parking_slots.py'

embed_dims = 24  # tiny 96

model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        embed_dims=embed_dims,
        depths=(2, 2, 2, 2),  # tiny 2, 2, 6, 2
        num_heads=(3, 6, 12, 24),
        window_size=7,
        drop_path_rate=0.2,
        out_indices=(0, 1, 2, 3),
    ),
    neck=dict(in_channels=[embed_dims * 2**i for i in range(4)]),
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        norm_decay_mult=0,
        custom_keys={'relative_position_bias_table': dict(decay_mult=0)},
    )
)
