"""Losses for the ``loss_*`` slots of mmdet's heads."""

from .box_losses import TorchvisionCIoULoss, TorchvisionDIoULoss, TorchvisionGIoULoss
from .improved_triplet_loss import ImprovedTripletLoss
from .kl_divergence_loss import KLDivergenceLoss
from .polygon_giou_loss import PolygonGIoULoss
from .smoothed_cross_entropy_loss import SmoothedCrossEntropyLoss
from .torchvision_focal_loss import TorchvisionFocalLoss
from .unit_direction_loss import UnitDirectionLoss

__all__ = [
    'ImprovedTripletLoss',
    'KLDivergenceLoss',
    'PolygonGIoULoss',
    'SmoothedCrossEntropyLoss',
    'TorchvisionCIoULoss',
    'TorchvisionDIoULoss',
    'TorchvisionFocalLoss',
    'TorchvisionGIoULoss',
    'UnitDirectionLoss',
]
