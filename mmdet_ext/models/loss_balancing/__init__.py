"""Loss balancing: weights for the losses of any detector."""

from .base import LossBalancer
from .dynamic_weight_average import DynamicWeightAverage
from .fixed_weights import FixedWeights
from .loss_balanced_detector import LossBalancedDetector
from .loss_ratio_weighting import LossRatioWeighting
from .uncertainty_weighting import UncertaintyWeighting

__all__ = [
    'DynamicWeightAverage',
    'FixedWeights',
    'LossBalancedDetector',
    'LossBalancer',
    'LossRatioWeighting',
    'UncertaintyWeighting',
]
