"""Test-time augmentation."""

from .parking_slot_tta import ParkingSlotTTAModel

__all__ = ['ParkingSlotTTAModel']
