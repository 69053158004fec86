"""Parking-slot detection and a workshop of components for MMDetection 3.x.

Importing the package makes its components known to mmdet's registries.
"""

import warnings

from .utils.configs import config_path, list_configs
from .utils.lazy_registration import register_lazily

__version__ = '0.1.0'
__all__ = ['config_path', 'list_configs']

try:
    register_lazily()
except (ImportError, AssertionError) as error:  # no error: the doctor has to run, too
    warnings.warn(
        f'the components of mmdet_ext are not registered ({error}): `python -m mmdet_ext.doctor` '
        'tells what is missing.',
        stacklevel=2,
    )
