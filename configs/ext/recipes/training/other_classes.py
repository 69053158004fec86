"""Two classes in place of three, started from a checkpoint for three."""

_base_ = '../../retinanet_parking_slots.py'

checkpoint = None  # whose last layers do not fit; all others are taken over
classes = ('perpendicular', 'parallel')

load_from = checkpoint
metainfo = dict(classes=classes, palette=_base_.metainfo.palette[:2])
train_dataloader = dict(dataset=dict(metainfo=metainfo))
val_dataloader = dict(dataset=dict(metainfo=metainfo))
test_dataloader = val_dataloader
model = dict(bbox_head=dict(num_classes=len(classes)))
