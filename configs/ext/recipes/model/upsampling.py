"""A pyramid that upsamples by learned sub-pixel convolutions instead of repeating cells."""

_base_ = '../../retinanet_parking_slots.py'

upsample = dict(type='pixel_shuffle', upsample_kernel=3)  # or 'deconv', 'bilinear', 'nearest'

model = dict(
    neck=dict(
        _delete_=True,
        type='FPN_CARAFE',
        in_channels=_base_.model.neck.in_channels,
        out_channels=_base_.neck_channels,
        num_outs=4,
        start_level=1,
        order=('conv', 'norm', 'act'),
        upsample_cfg=upsample,
    )
)
