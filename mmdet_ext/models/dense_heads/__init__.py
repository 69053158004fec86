"""Dense heads."""

from .psd_head import PSDHead

__all__ = ['PSDHead']
