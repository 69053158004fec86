"""mAP as Pascal VOC counts it, at two IoUs."""

_base_ = '../../retinanet_parking_slots.py'

val_evaluator = dict(
    _delete_=True, type='VOCMetric', metric='mAP', iou_thrs=[0.5, 0.75], eval_mode='11points'
)
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='pascal_voc/mAP'))
