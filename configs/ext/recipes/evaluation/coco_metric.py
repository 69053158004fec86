"""COCO's mAP of each class, and the predictions in a file."""

_base_ = '../../retinanet_parking_slots.py'

val_evaluator = dict(classwise=True)
test_evaluator = dict(classwise=True, outfile_prefix='work_dirs/predictions')
