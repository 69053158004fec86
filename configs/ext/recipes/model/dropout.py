"""Dropout of whole channels behind the neck, where no batch norm follows."""

_base_ = '../../retinanet_parking_slots.py'

dropout = dict(type='Dropout2d', drop_prob=0.1)  # or 'GaussianDropout', 'UniformDropout'
maps = [_base_.neck_channels] * _base_.model.neck.num_outs

model = dict(
    neck=[_base_.model.neck, dict(type='FeatureAttention', in_channels=maps, attention=dropout)]
)
