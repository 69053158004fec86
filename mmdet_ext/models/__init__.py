"""Registered models: importing this package registers them."""

from .dense_heads import PSDHead
from .detectors import ParkingSlotDetector

__all__ = ['PSDHead', 'ParkingSlotDetector']
