"""RoI align with four samples per cell, of which the greatest counts."""

_base_ = '../../faster_rcnn_roi_pool.py'

roi_layer = dict(_delete_=True, type='RoIAlign', output_size=7, sampling_ratio=2, pool_mode='max')
model = dict(roi_head=dict(bbox_roi_extractor=dict(type='SingleRoIExtractor', roi_layer=roi_layer)))
