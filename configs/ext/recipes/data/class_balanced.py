"""Images of rare classes several times in an epoch."""

_base_ = '../../retinanet_parking_slots.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ClassBalancedDataset',
        oversample_thr=0.4,  # images of classes on a smaller share of the images are repeated
        dataset=_base_.train_dataloader.dataset,
    )
)
