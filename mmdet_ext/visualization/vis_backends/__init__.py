"""Backends that mmengine's visualizers write to."""

from .visdom_vis_backend import VisdomVisBackend

__all__ = ['VisdomVisBackend']
