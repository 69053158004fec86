"""Parking-slot detection and a workshop of components for MMDetection 3.x.

Importing the package registers its components in mmdet's registries.
"""

__version__ = '0.1.0'

# Without a complete stack, utils.collect_env still has to import to tell what is missing.
try:
    import mmcv.ops  # noqa: F401 (only tried)
    import mmdet  # noqa: F401
except (ImportError, AssertionError):
    __all__ = []
else:
    from . import datasets, engine, evaluation, models, visualization

    __all__ = ['datasets', 'engine', 'evaluation', 'models', 'visualization']
