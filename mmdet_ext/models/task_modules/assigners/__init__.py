"""Ways to assign objects to priors that mmdet lacks."""

from .ota_assigner import OTAAssigner
from .points_as_anchors_assigner import PointsAsAnchorsAssigner
from .quality_sampling_assigner import QualitySamplingAssigner

__all__ = ['OTAAssigner', 'PointsAsAnchorsAssigner', 'QualitySamplingAssigner']
