"""Visualizers and the drawing functions under them."""

from .parking_slot_visualizer import ParkingSlotVisualizer
from .vis_backends import VisdomVisBackend

__all__ = ['ParkingSlotVisualizer', 'VisdomVisBackend']
