"""A training watched with Visdom: curves, pictures, feature maps."""

_base_ = '../../psd_yolo.py'

vis_backends = [dict(type='VisdomVisBackend', offline=True)]  # start_server=True to watch it
visualizer = dict(vis_backends=vis_backends)
