"""No more than 500 images of each class."""

_base_ = '../../retinanet_parking_slots.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='UnderSampledDataset',
        cap=500,
        by='class',
        dataset=_base_.train_dataloader.dataset,
    )
)
