"""Visualizers and the drawing functions under them."""

from .parking_slot_visualizer import ParkingSlotVisualizer

__all__ = ['ParkingSlotVisualizer']
