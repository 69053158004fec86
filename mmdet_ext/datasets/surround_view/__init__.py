"""Synthetic surround-view parking scenes with complete labels: a dataset that needs no download.

From metres to pixels: ``layout`` (rows of slots and paint), ``objects`` (what has height), ``ground``, ``paint`` and
``light`` (the ground's picture), ``rig`` and ``surround`` (fisheye cameras and stitching), ``finish``, ``labels``;
``render`` runs them in this order. ``config`` holds the ranges, ``presets`` kinds of sites.
"""

from mmdet_ext.datasets.surround_view.dataset import ensure_dataset, make_dataset
from mmdet_ext.datasets.surround_view.presets import PRESETS, scene_config
from mmdet_ext.datasets.surround_view.render import render_scene

__all__ = ['PRESETS', 'ensure_dataset', 'make_dataset', 'render_scene', 'scene_config']
