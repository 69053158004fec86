"""The default on a plain vision transformer (the size of DeiT-Ti) with a simple feature pyramid.

A transformer that starts from random weights needs far more images or epochs than a convolutional
network: give it weights.
"""

_base_ = 'psd_yolo.py'

# What you are likely to change.
weights = None  # a file of timm, torchvision, DeiT, MAE or DINO weights of this size
embed_dims = 192  # tiny 192, small 384, base 768
num_heads = 3  # 3, 6, 12
window_size = 0  # patches; for large images 14, and attention everywhere in four blocks
global_attention_indices = (2, 5, 8, 11)
base_lr = 1e-3

# The rest follows.
model = dict(
    data_preprocessor=dict(  # what ImageNet weights are made for
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(
        _delete_=True,
        type='PlainViT',
        embed_dims=embed_dims,
        depth=12,
        num_heads=num_heads,
        drop_path_rate=0.1,
        window_size=window_size,
        global_attention_indices=global_attention_indices,
        init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
    ),
    neck=dict(
        _delete_=True,
        type='SimpleFeaturePyramid',
        in_channels=embed_dims,
        out_channels=_base_.neck_channels,
        out_strides=(8, 16, 32),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=base_lr))
