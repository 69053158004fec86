"""Synthetic surround-view parking scenes with complete labels: a dataset that needs no download."""

from mmdet_ext.datasets.surround_view.dataset import ensure_dataset, make_dataset
from mmdet_ext.datasets.surround_view.render import render_scene

__all__ = ['ensure_dataset', 'make_dataset', 'render_scene']
