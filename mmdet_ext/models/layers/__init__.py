"""Layers for the configs of any MMDetection model, one per file; attention layers in a folder."""

from .bilinear_deconvolution import BilinearDeconv
from .cross_iteration_batch_norm import CrossIterationBatchNorm
from .cross_mini_batch_norm import CrossMiniBatchNorm
from .depthwise_separable_convolution import DepthwiseSeparableBlock
from .drop_block import ClampedDropBlock
from .dropout import Dropout2d, GaussianDropout, UniformDropout
from .group_norm16 import GroupNorm16
from .hybrid_dilated_convolution import HybridDilatedBlock
from .icnr_pixel_shuffle import ICNRPixelShuffle
from .resize_convolution import ResizeConv
from .stochastic_pooling import StochasticPool2d

__all__ = [
    'BilinearDeconv',
    'ClampedDropBlock',
    'CrossIterationBatchNorm',
    'CrossMiniBatchNorm',
    'DepthwiseSeparableBlock',
    'Dropout2d',
    'GaussianDropout',
    'GroupNorm16',
    'HybridDilatedBlock',
    'ICNRPixelShuffle',
    'ResizeConv',
    'StochasticPool2d',
    'UniformDropout',
]
