"""Backbones."""

from .dmpr_darknet import DMPRDarknet
from .plain_vit import PlainViT
from .torchvision_backbone import TorchvisionBackbone
from .yolov1_darknet import YOLOv1Darknet

__all__ = ['DMPRDarknet', 'PlainViT', 'TorchvisionBackbone', 'YOLOv1Darknet']
