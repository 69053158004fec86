"""Detectors."""

from .parking_slot_detector import ParkingSlotDetector

__all__ = ['ParkingSlotDetector']
