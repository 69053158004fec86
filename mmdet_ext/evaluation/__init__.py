"""Evaluation: registered metrics over plain functions."""

from .metrics import ParkingSlotCocoMetric, ParkingSlotMetric

__all__ = ['ParkingSlotCocoMetric', 'ParkingSlotMetric']
