"""Mixup for marking points and slots."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS

from mmdet_ext.structures.warping import affine_matrix

from .labels import drop_slots_outside, move_slots
from .mixing import CachedMixing, join_labels
from .options import check_between


@TRANSFORMS.register_module()
class ParkingSlotMixUp(CachedMixing):
    """Two pictures shining through each other, with the labels of both.

    Zhang et al., mixup: Beyond Empirical Risk Minimization, 2018; for detection without weights in the
    loss, as Zhang et al., Bag of Freebies for Training Object Detection Neural Networks, 2019, have
    it. The other picture is fitted into this one, its aspect ratio kept.

    Required keys: ``img`` and those of :class:`LoadParkingSlotAnnotations`. For the other picture see
    :class:`CachedMixing`.

    Args:
        alpha: The share of this picture is drawn from Beta(alpha, alpha); the larger, the closer to one
            half. Labels count in full whatever the share, so leave it large.
        prob: Probability of a mixture.
        max_cached_images: How many pictures each loader worker keeps.
        border_value: Grey value around a picture of another shape.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(
        self,
        alpha: float = 32.0,
        prob: float = 1.0,
        max_cached_images: int = 20,
        border_value: float = 114,
    ) -> None:
        super().__init__(prob, max_cached_images)
        self.alpha = check_between(self, 'alpha', alpha, 1e-3, float('inf'))
        self.border_value = border_value

    @cache_randomness
    def random_share(self) -> float:
        """Draw the share of this picture."""
        return float(np.random.beta(self.alpha, self.alpha))  # noqa: NPY002

    def mix(self, results: dict, others: Sequence[dict]) -> None:
        """Blend another picture in and add its labels."""
        share = self.random_share()
        [other] = others
        part = fitted(other, results['img'].shape[1::-1], self.border_value)
        blended = cv2.addWeighted(results['img'], share, part['img'], 1 - share, 0)
        results['img'] = blended.reshape(results['img'].shape)
        results.update(join_labels([results, part]))

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(alpha={self.alpha}, prob={self.prob}, '
            f'max_cached_images={self.max_cached_images}, border_value={self.border_value})'
        )


def fitted(picture: dict, size: tuple[int, int], border_value: float) -> dict:
    """Return a picture fitted into a size, with its labels.

    Args:
        picture: Results with labels, not changed.
        size: Width and height.
        border_value: Grey value around it.

    Returns:
        The picture with labels in the new pixels; what cannot be seen is dropped.
    """
    part, image = dict(picture), picture['img']
    if image.shape[1::-1] != tuple(size):
        matrix = affine_matrix(image.shape[1::-1], size)
        warped = cv2.warpAffine(image, matrix[:2], size, borderValue=(border_value,) * 4)
        part['img'] = warped.reshape(*warped.shape[:2], *image.shape[2:])
        move_slots(part, matrix)
        drop_slots_outside(part, (0, 0, *size))
    return part
