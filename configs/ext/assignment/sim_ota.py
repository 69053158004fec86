"""SimOTA (Ge et al., YOLOX, 2021): each object takes its cheapest points; the base's own way."""

_base_ = 'base.py'

model = dict(train_cfg=dict(assigner=dict(_delete_=True, type='SimOTAAssigner', center_radius=2.5)))
