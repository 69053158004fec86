"""Registered models: importing this package registers them."""

from .dense_heads import PSDHead
from .detectors import ParkingSlotDetector
from .test_time_augs import ParkingSlotTTAModel

__all__ = ['PSDHead', 'ParkingSlotDetector', 'ParkingSlotTTAModel']
