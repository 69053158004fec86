"""Datasets, on-disk formats, transforms and scene synthesis."""

from . import transforms
from .parking_slot_dataset import ParkingSlotDataset
from .surround_view.scene_dataset import SurroundViewSceneDataset

__all__ = ['ParkingSlotDataset', 'SurroundViewSceneDataset', 'transforms']
