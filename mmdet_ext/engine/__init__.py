"""Hooks, optimizer wrappers and what else drives a run."""

from . import hooks, loops, optimizers

__all__ = ['hooks', 'loops', 'optimizers']
