"""OTA (Ge et al., 2021): the cheapest assignment of all points of an image together."""

_base_ = 'base.py'

model = dict(train_cfg=dict(assigner=dict(_delete_=True, type='OTAAssigner', center_radius=2.5)))
