"""Optimizers, optimizer wrappers and their constructors."""

from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .flooding_optim_wrappers import (
    FloodingAmpOptimWrapper,
    FloodingBFloat16OptimWrapper,
    FloodingOptimWrapper,
)
from .fused_adamw import FusedAdamW
from .layer_decay_constructor import LayerDecayOptimWrapperConstructor

__all__ = [
    'BFloat16OptimWrapper',
    'FloodingAmpOptimWrapper',
    'FloodingBFloat16OptimWrapper',
    'FloodingOptimWrapper',
    'FusedAdamW',
    'LayerDecayOptimWrapperConstructor',
]
