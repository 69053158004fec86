"""Registered hooks, one per file."""

from .channels_last_hook import ChannelsLastHook
from .class_check_hook import ClassCheckHook
from .training_curves_hook import TrainingCurvesHook
from .visualization_hook import ParkingSlotVisualizationHook

__all__ = [
    'ChannelsLastHook',
    'ClassCheckHook',
    'ParkingSlotVisualizationHook',
    'TrainingCurvesHook',
]
