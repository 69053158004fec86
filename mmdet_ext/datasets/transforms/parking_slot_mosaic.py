"""Mosaic for marking points and slots."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS

from .cropping import resize_image
from .labels import centred, drop_slots_outside, move_slots, translation
from .mixing import CachedMixing, join_labels
from .options import check_range, check_size


@TRANSFORMS.register_module()
class ParkingSlotMosaic(CachedMixing):
    """Four pictures around a random point.

    Bochkovskiy et al., YOLOv4: Optimal Speed and Accuracy of Object Detection, 2020, laid out as
    MMDetection's ``CachedMosaic``: the result is twice ``img_scale``, so follow with
    ``ParkingSlotAffine(size=...)``. At a seam a label belongs to the picture that it comes from: marking
    points beyond it are dropped with the slots' links to them, a slot stays while the midpoint of
    its entrance is on its side, and its corners may lie beyond.

    Required keys: ``img`` and those of :class:`LoadParkingSlotAnnotations`. For the other pictures see
    :class:`CachedMixing`. ``homography_matrix`` is removed: no single map leads to the original.

    Args:
        img_scale: Width and height that each picture is fitted into, its aspect ratio kept.
        center_ratio_range: Range of the seams' crossing over ``img_scale``, in x and in y.
        pad_val: Value of pixels that no picture reaches.
        prob: Probability of a mosaic.
        max_cached_images: How many pictures each loader worker keeps.

    Raises:
        ValueError: An option is out of range.
    """

    partners = 3

    def __init__(
        self,
        img_scale: tuple[int, int] = (256, 256),
        center_ratio_range: tuple[float, float] = (0.5, 1.5),
        pad_val: float = 114,
        prob: float = 1.0,
        max_cached_images: int = 40,
    ) -> None:
        super().__init__(prob, max_cached_images)
        self.img_scale = check_size(self, 'img_scale', img_scale)
        self.center_ratio_range = check_range(self, 'center_ratio_range', center_ratio_range, 0, 2)
        self.pad_val = pad_val

    @cache_randomness
    def random_center(self) -> tuple[int, int]:
        """Draw where the seams cross, in pixels of the mosaic."""
        ratios = np.random.uniform(*self.center_ratio_range, 2)  # noqa: NPY002
        return tuple((ratios * self.img_scale).astype(int).tolist())

    def mix(self, results: dict, others: Sequence[dict]) -> None:
        """Lay four pictures around a point."""
        center = self.random_center()
        width, height = np.multiply(self.img_scale, 2).tolist()
        canvas = np.full(
            (height, width, *results['img'].shape[2:]), self.pad_val, results['img'].dtype
        )
        pictures = [results, *others]
        parts = [
            place(picture, canvas, center, self.img_scale, *divmod(i, 2))
            for i, picture in enumerate(pictures)
        ]
        results.update(join_labels(parts), img=canvas, img_shape=(height, width))
        results.pop('homography_matrix', None)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(img_scale={self.img_scale}, '
            f'center_ratio_range={self.center_ratio_range}, pad_val={self.pad_val}, prob={self.prob}, '
            f'max_cached_images={self.max_cached_images})'
        )


def place(
    picture: dict,
    canvas: np.ndarray,
    center: tuple[int, int],
    img_scale: tuple[int, int],
    row: int,
    column: int,
) -> dict:
    """Draw a picture into a quarter of a mosaic.

    Args:
        picture: Results with labels, not changed.
        canvas: The mosaic, changed.
        center: Where the seams cross, in its pixels.
        img_scale: Width and height that the picture is fitted into.
        row: 0: the picture ends at the centre from above; 1: it starts there.
        column: The same from the left.

    Returns:
        The picture's labels in pixels of the mosaic, without those that cannot be seen in it.
    """
    old_height, old_width = picture['img'].shape[:2]
    factor = min(img_scale[0] / old_width, img_scale[1] / old_height)
    width, height = max(1, int(old_width * factor)), max(1, int(old_height * factor))
    left = center[0] if column else center[0] - width
    top = center[1] if row else center[1] - height
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + width, canvas.shape[1]), min(top + height, canvas.shape[0])
    resized = resize_image(picture['img'], (width, height))
    canvas[y1:y2, x1:x2] = resized[y1 - top : y2 - top, x1 - left : x2 - left]
    part = {key: value for key, value in picture.items() if key != 'img'}
    scaling = np.diag([width / old_width, height / old_height, 1.0])
    move_slots(part, centred(translation(left, top) @ scaling))
    drop_slots_outside(part, (x1, y1, x2, y2))
    return part
