"""Pascal VOC as it lies on disk: Annotations/*.xml, JPEGImages/*.jpg, ImageSets/Main/*.txt."""

_base_ = '../../retinanet_parking_slots.py'

data_root = 'data/voc/'
synthetic_data = None

voc = dict(
    _delete_=True,
    type='XMLDataset',
    data_root=data_root,
    data_prefix=dict(sub_data_root=''),
    metainfo=_base_.metainfo,
)
train_dataloader = dict(
    dataset=dict(
        voc,
        ann_file='ImageSets/Main/train.txt',
        filter_cfg=dict(filter_empty_gt=False, bbox_min_size=8),
        pipeline=_base_.train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        voc, ann_file='ImageSets/Main/val.txt', test_mode=True, pipeline=_base_.test_pipeline
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='VOCMetric', metric='mAP', eval_mode='area')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='pascal_voc/mAP'))
