"""Annotations of very large sets in one memory-mapped Arrow file, shared by workers and ranks."""

from .dataset import ColumnarDataset

__all__ = ['ColumnarDataset']
