"""Parking-slot detection and a workshop of components for MMDetection 3.x.

Importing the package makes its components known to mmdet's registries.
"""

from .utils.configs import config_path, list_configs
from .utils.lazy_registration import register_lazily

__version__ = '0.1.0'
__all__ = ['config_path', 'list_configs']

register_lazily()
