"""Metrics registered in MMDetection's ``METRICS``."""

from mmdet_ext.evaluation.metrics.parking_slot_coco_metric import ParkingSlotCocoMetric
from mmdet_ext.evaluation.metrics.parking_slot_metric import ParkingSlotMetric

__all__ = ['ParkingSlotCocoMetric', 'ParkingSlotMetric']
