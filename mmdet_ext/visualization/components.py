"""What mmdet's registries know of this package."""

from .parking_slot_visualizer import ParkingSlotVisualizer
from .vis_backends import VisdomVisBackend

__all__ = ['ParkingSlotVisualizer', 'VisdomVisBackend']
