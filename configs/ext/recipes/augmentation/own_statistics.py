"""Images normalised by the mean and spread of the data set, as tools/dataset/check.py prints them."""

_base_ = '../../retinanet_parking_slots.py'

model = dict(
    data_preprocessor=dict(mean=[84.34, 83.58, 80.06], std=[47.76, 46.42, 45.4], bgr_to_rgb=True)
)
