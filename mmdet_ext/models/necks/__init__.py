"""Necks."""

from .feature_attention import FeatureAttention
from .simple_feature_pyramid import SimpleFeaturePyramid

__all__ = ['FeatureAttention', 'SimpleFeaturePyramid']
