"""Attention layers: each takes ``in_channels`` and keeps ``(B, C, H, W)``.

Use one as a plugin of mmdet's ResNets, between or after necks through ``FeatureAttention``, or alone::

    backbone = dict(plugins=[dict(cfg=dict(type='SqueezeExcitation'), position='after_conv3')])
    neck = [dict(type='FPN', ...), dict(type='FeatureAttention', attention=..., in_channels=[256] * 5)]

``norm_eval=True`` and ``frozen_stages`` of a ResNet, set in most stock configs, hold for plugins, too:
their batch normalisation keeps its first statistics, and those in frozen stages do not learn.
"""

from .base import AttentionLayer
from .bottleneck_attention import BottleneckAttention
from .concurrent_squeeze_excitation import ConcurrentSqueezeExcitation
from .convolutional_block_attention import ConvolutionalBlockAttention
from .coordinate_attention import CoordinateAttention
from .dual_attention import ChannelSelfAttention, PositionSelfAttention
from .efficient_channel_attention import EfficientChannelAttention
from .frequency_channel_attention import FrequencyChannelAttention
from .gated_channel_transformation import GatedChannelTransformation
from .global_second_order_pooling import GlobalSecondOrderPooling
from .relation_aware_attention import RelationAwareChannelAttention, RelationAwareSpatialAttention
from .residual_attention import ResidualAttention
from .self_calibrated_convolution import SelfCalibratedConvolution
from .simple_parameter_free_attention import SimpleParameterFreeAttention
from .spatial_transformer import SpatialTransformer
from .squeeze_excitation import SqueezeExcitation
from .strip_pooling import StripPooling
from .style_recalibration import StyleRecalibration
from .triplet_attention import TripletAttention

__all__ = [
    'AttentionLayer',
    'BottleneckAttention',
    'ChannelSelfAttention',
    'ConcurrentSqueezeExcitation',
    'ConvolutionalBlockAttention',
    'CoordinateAttention',
    'EfficientChannelAttention',
    'FrequencyChannelAttention',
    'GatedChannelTransformation',
    'GlobalSecondOrderPooling',
    'PositionSelfAttention',
    'RelationAwareChannelAttention',
    'RelationAwareSpatialAttention',
    'ResidualAttention',
    'SelfCalibratedConvolution',
    'SimpleParameterFreeAttention',
    'SpatialTransformer',
    'SqueezeExcitation',
    'StripPooling',
    'StyleRecalibration',
    'TripletAttention',
]
