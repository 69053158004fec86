"""Registered models: importing this package registers them."""

from . import losses
from .backbones import DMPRDarknet, PlainViT, TorchvisionBackbone, YOLOv1Darknet
from .dense_heads import IQDetHead, PredictingSSDHead, PSDHead, YOLOv1Head
from .detectors import ParkingSlotDetector
from .layers import attention, nms
from .loss_balancing import LossBalancedDetector
from .necks import FeatureAttention, SimpleFeaturePyramid
from .roi_heads import TorchvisionRoIExtractor
from .task_modules import assigners
from .test_time_augs import ParkingSlotTTAModel

__all__ = [
    'DMPRDarknet',
    'FeatureAttention',
    'IQDetHead',
    'LossBalancedDetector',
    'PSDHead',
    'ParkingSlotDetector',
    'ParkingSlotTTAModel',
    'PlainViT',
    'PredictingSSDHead',
    'SimpleFeaturePyramid',
    'TorchvisionBackbone',
    'TorchvisionRoIExtractor',
    'YOLOv1Darknet',
    'YOLOv1Head',
    'assigners',
    'attention',
    'losses',
    'nms',
]
