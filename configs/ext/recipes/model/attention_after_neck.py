"""An attention layer behind the neck, on the two finest maps only: a list of necks is run in turn."""

_base_ = '../../retinanet_parking_slots.py'

attention = dict(type='PositionSelfAttention')
maps = [_base_.neck_channels] * _base_.model.neck.num_outs

model = dict(
    neck=[
        _base_.model.neck,
        dict(type='FeatureAttention', in_channels=maps, attention=attention, levels=[2, 3]),
    ]
)
