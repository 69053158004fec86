"""Parking-slot detection and a workshop of components for MMDetection 3.x.

Importing the package registers its components in mmdet's registries.
"""

from importlib.util import find_spec

__version__ = '0.1.0'

# Without mmdet the tools that tell what is missing (utils.collect_env) still have to import.
if find_spec('mmdet') is not None:
    from . import datasets, engine, evaluation, models, visualization

    __all__ = ['datasets', 'engine', 'evaluation', 'models', 'visualization']
