"""Boxes as distances to their four sides, in units of the anchor, instead of as shift and scale."""

_base_ = '../../retinanet_parking_slots.py'

model = dict(bbox_head=dict(bbox_coder=dict(_delete_=True, type='TBLRBBoxCoder', normalizer=1.0)))
