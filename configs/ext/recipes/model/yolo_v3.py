"""YOLOv3 on MobileNetV2, whose anchors tools can fit to a data set."""

_base_ = 'mmdet::yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py'

data_root = 'data/surround_view/'
classes = ('perpendicular', 'parallel', 'slanted')

data = dict(data_root=data_root, data_prefix=dict(img=''), metainfo=dict(classes=classes))
train_dataloader = dict(dataset=dict(dataset=dict(**data, ann_file='train.json')))
val_dataloader = dict(dataset=dict(**data, ann_file='val.json'))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'val.json')
test_evaluator = val_evaluator
model = dict(bbox_head=dict(num_classes=len(classes)))
