"""Registered models: importing this package registers them."""

from .backbones import DMPRDarknet, PlainViT, TorchvisionBackbone, YOLOv1Darknet
from .dense_heads import PSDHead
from .detectors import ParkingSlotDetector
from .layers import attention
from .necks import FeatureAttention, SimpleFeaturePyramid
from .test_time_augs import ParkingSlotTTAModel

__all__ = [
    'DMPRDarknet',
    'FeatureAttention',
    'PSDHead',
    'ParkingSlotDetector',
    'ParkingSlotTTAModel',
    'PlainViT',
    'SimpleFeaturePyramid',
    'TorchvisionBackbone',
    'YOLOv1Darknet',
    'attention',
]
