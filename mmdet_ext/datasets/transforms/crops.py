"""Crops that keep boxes, masks, keypoints, marking points and slots."""

import torch
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type
from torchvision.transforms import RandomResizedCrop

from .cropping import crop_results, resize_results
from .options import check_range, check_size


@TRANSFORMS.register_module()
class DetCenterCrop(BaseTransform):
    """Cut out the middle of the image, with the labels of MMDetection or of parking slots.

    What happens to labels at the border: see :func:`crop_results`. An image smaller than the crop
    is left as large as it is in that direction, as ``RandomCrop`` does: follow with ``Pad`` for one
    size.

    Args:
        crop_size: Width and height in pixels, or one number for both.

    Raises:
        ValueError: The size is not positive.
    """

    def __init__(self, crop_size: int | tuple[int, int]) -> None:
        self.crop_size = check_size(self, 'crop_size', crop_size)

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Crop image and labels."""
        height, width = results['img'].shape[:2]
        new_width, new_height = min(self.crop_size[0], width), min(self.crop_size[1], height)
        x, y = (width - new_width) // 2, (height - new_height) // 2
        crop_results(results, (x, y, x + new_width, y + new_height))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(crop_size={self.crop_size})'


@TRANSFORMS.register_module()
class DetRandomResizedCrop(BaseTransform):
    """Cut out a part of random area and aspect ratio and stretch it to one size.

    The part is drawn as by torchvision's ``RandomResizedCrop`` (Szegedy et al., Going deeper with
    convolutions, 2015), here with the labels of MMDetection or of parking slots; for those at the
    border see :func:`crop_results`. The stretching changes angles: for parking slots keep ``ratio``
    close to that of ``size``. ``FilterAnnotations`` drops slivers of boxes.

    Args:
        size: Width and height of the result in pixels, or one number for both.
        scale: Range of the part's area as a fraction of the image's.
        ratio: Range of its width over height, drawn evenly on a logarithmic scale.
        allow_negative_crop: Let a part without any box or slot through; if not, the pipeline
            returns None, and the data set draws another image.

    Raises:
        ValueError: A range is not one, or the size is not positive.
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        allow_negative_crop: bool = True,
    ) -> None:
        self.size = check_size(self, 'size', size)
        self.scale = check_range(self, 'scale', scale, 1e-6, 1)
        self.ratio = check_range(self, 'ratio', ratio, 1e-3, 1e3)
        self.allow_negative_crop = allow_negative_crop

    @cache_randomness
    def random_part(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Draw the edges ``x1 y1 x2 y2`` of the part."""
        image = torch.empty(1, 1, 1).expand(1, height, width)  # only its size is looked at
        y, x, part_height, part_width = RandomResizedCrop.get_params(image, self.scale, self.ratio)
        return x, y, x + part_width, y + part_height

    @autocast_box_type()
    def transform(self, results: dict) -> dict | None:
        """Crop and resize image and labels."""
        crop_results(results, self.random_part(*results['img'].shape[:2]))
        labels = results.get('gt_corners', results.get('gt_bboxes'))
        if labels is not None and not len(labels) and not self.allow_negative_crop:
            return None
        resize_results(results, self.size)
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(size={self.size}, scale={self.scale}, ratio={self.ratio}, '
            f'allow_negative_crop={self.allow_negative_crop})'
        )
