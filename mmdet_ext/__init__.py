"""Parking-slot detection and a workshop of components for MMDetection 3.x."""

__version__ = '0.1.0'
