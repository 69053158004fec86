"""A stock config of MMDetection on COCO files of your own."""

_base_ = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'

data_root = 'data/surround_view/'  # with train.json and val.json
metainfo = dict(classes=('perpendicular', 'parallel', 'slanted'))  # a single one: ('name',)
weights = None  # 'torchvision://resnet18' downloads ImageNet's
image_size = (256, 256)  # of at most; stock: 1333, 800

train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[2].scale = test_pipeline[1].scale = image_size
own = dict(data_root=data_root, metainfo=metainfo, data_prefix=dict(img=''))
train_dataloader = dict(dataset=dict(own, ann_file='train.json', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(own, ann_file='val.json', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'val.json')
test_evaluator = val_evaluator

init_cfg = weights and dict(type='Pretrained', checkpoint=weights)
model = dict(backbone=dict(init_cfg=init_cfg), bbox_head=dict(num_classes=len(metainfo['classes'])))
