"""Dense heads."""

from .iqdet_head import IQDetHead
from .psd_head import PSDHead
from .ssd_head import PredictingSSDHead
from .yolov1_head import YOLOv1Head

__all__ = ['IQDetHead', 'PSDHead', 'PredictingSSDHead', 'YOLOv1Head']
