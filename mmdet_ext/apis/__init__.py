"""The Python face: what the commands in ``tools/`` do, as functions."""

from .run import evaluate, load_config, train

__all__ = ['evaluate', 'load_config', 'train']
