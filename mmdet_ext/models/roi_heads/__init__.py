"""Heads of two-stage detectors: how regions of interest are cut out of feature maps."""

from .torchvision_roi_extractor import TorchvisionRoIExtractor

__all__ = ['TorchvisionRoIExtractor']
