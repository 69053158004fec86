"""Helpers that belong to no single component: environment, checkpoints, errors, processes."""
