"""The candidates with the highest loss train the second stage of a Faster R-CNN."""

_base_ = '../../faster_rcnn_roi_pool.py'

sampler = dict(_delete_=True, type='OHEMSampler', num=128, pos_fraction=0.25)

model = dict(train_cfg=dict(rcnn=dict(sampler=sampler)))
