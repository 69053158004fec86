"""Each class as often as any other: a class is drawn, then one of its images."""

_base_ = '../../retinanet_parking_slots.py'

train_dataloader = dict(sampler=dict(_delete_=True, type='ClassAwareSampler', num_sample_class=1))
