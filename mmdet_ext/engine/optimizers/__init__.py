"""Optimizers and optimizer wrappers."""

from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .fused_adamw import FusedAdamW

__all__ = ['BFloat16OptimWrapper', 'FusedAdamW']
