"""Evaluation: registered metrics over plain functions."""

from .metrics import ParkingSlotMetric

__all__ = ['ParkingSlotMetric']
