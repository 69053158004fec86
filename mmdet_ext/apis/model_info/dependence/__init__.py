"""Which part of the input of a forward pass its outputs depend on."""

from .recorder import DependenceRecorder

__all__ = ['DependenceRecorder']
