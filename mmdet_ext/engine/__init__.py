"""Hooks, optimizer wrappers and what else drives a run."""

from . import hooks, optimizers

__all__ = ['hooks', 'optimizers']
