"""Hooks and what else drives a run."""

from . import hooks

__all__ = ['hooks']
