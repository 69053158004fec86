"""The parking-slot detector."""

from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmengine.structures import InstanceData


@MODELS.register_module()
class ParkingSlotDetector(SingleStageDetector):
    """Backbone, neck and a head that predicts slots and marking points.

    Its data samples get ``pred_instances`` (slots) like those of any detector, and
    ``pred_marking_points`` beside them.
    """

    def add_pred_to_datasample(
        self, data_samples: SampleList, results_list: list[tuple[InstanceData, InstanceData]]
    ) -> SampleList:
        """Attach slots and marking points to the samples.

        Args:
            data_samples: One per image.
            results_list: Slots and points of each image.

        Returns:
            The samples.
        """
        slots, points = zip(*results_list, strict=True)
        for sample, marking_points in zip(data_samples, points, strict=True):
            sample.pred_marking_points = marking_points
        return super().add_pred_to_datasample(data_samples, list(slots))
