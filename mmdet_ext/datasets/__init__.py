"""Datasets, on-disk formats, transforms and scene synthesis."""

from . import transforms
from .parking_slot_dataset import ParkingSlotDataset

__all__ = ['ParkingSlotDataset', 'transforms']
