"""Overlapping boxes are scored down instead of removed: `test_cfg.nms`."""

_base_ = '../../retinanet_parking_slots.py'

nms = dict(_delete_=True, type='soft_nms', iou_threshold=0.5, method='gaussian', min_score=0.01)

model = dict(test_cfg=dict(score_thr=0.05, nms=nms, max_per_img=100))
