"""SSD that predicts."""

from mmdet.models import SSDHead
from mmdet.registry import MODELS


@MODELS.register_module()
class PredictingSSDHead(SSDHead):
    """``SSDHead`` whose ``predict`` works: in any SSD config change the ``type`` of the head to this.

    Since MMDetection 3.1 the stock head trains, but cannot predict, validate or test: that needs an
    attribute ``loss_cls`` that it does not have (its issues 11063, 11305 and 11780). Weights, losses
    and options are the same.

    Liu et al.: SSD: Single Shot MultiBox Detector, ECCV 2016, arXiv:1512.02325.

    Args:
        args: As for ``SSDHead``.
        kwargs: As for ``SSDHead``.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if not hasattr(self, 'loss_cls'):
            self.loss_cls = None  # a plain softmax, as in the losses of the stock head
