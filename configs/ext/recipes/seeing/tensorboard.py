"""Scalars, pictures and the graph of a stock detector in TensorBoard."""

_base_ = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'

custom_imports = dict(imports=['mmdet_ext'], allow_failed_imports=False)
vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
visualizer = dict(vis_backends=vis_backends)
custom_hooks = [dict(type='TensorboardChartsHook'), dict(type='TensorboardGraphHook')]
default_hooks = dict(visualization=dict(draw=True, interval=1))
