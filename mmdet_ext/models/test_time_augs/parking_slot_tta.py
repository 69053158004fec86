"""Test-time augmentation for slots and marking points."""

from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.model import BaseTTAModel

from .merging import View, merge_views


@MODELS.register_module()
class ParkingSlotTTAModel(BaseTTAModel):
    """Merges the predictions for rotated, mirrored and rescaled copies of an image.

    The copies are those of the ``tta_pipeline``: each ``ParkingSlotAffine`` in it makes one, of any
    size. What a copy does not show, it does not vote on. See :func:`~.merging.merge_views`.

    Args:
        point_radius: Points this close are one, pixels of a 600-pixel-high image.
        slot_radius: Slots whose entrance corners are this close, in order, are one, likewise.
        kwargs: As for :class:`mmengine.model.BaseTTAModel`.
    """

    def __init__(self, point_radius: float = 10.0, slot_radius: float = 30.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.point_radius = point_radius
        self.slot_radius = slot_radius

    def merge_preds(self, data_samples_list: list[list[DetDataSample]]) -> list[DetDataSample]:
        """Merge the samples of each image's copies.

        Args:
            data_samples_list: Per image, one sample per copy, in pixels of the original image.

        Returns:
            One sample per image.
        """
        return [self._merge(copies) for copies in data_samples_list]

    def _merge(self, copies: list[DetDataSample]) -> DetDataSample:
        merged = copies[0]
        height, width = merged.ori_shape[:2]
        views = [
            View(
                copy.pred_instances,
                copy.pred_marking_points,
                matrix=copy.get('homography_matrix'),
                size=copy.img_shape[1::-1],
            )
            for copy in copies
        ]
        merged.pred_instances, merged.pred_marking_points = merge_views(
            views, width, height, self.point_radius, self.slot_radius
        )
        return merged
