"""A last stage that dilates its convolutions instead of halving the map."""

_base_ = '../../retinanet_parking_slots.py'

model = dict(
    backbone=dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), out_indices=(1, 2, 3)),
    neck=dict(in_channels=[32, 64, 128], start_level=0, num_outs=3),
    bbox_head=dict(anchor_generator=dict(strides=[8, 16, 16])),
)
