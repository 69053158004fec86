"""The first stages of a backbone stay as they are, the statistics of their norms included."""

_base_ = '../../retinanet_parking_slots.py'

model = dict(backbone=dict(frozen_stages=2, norm_eval=True))
