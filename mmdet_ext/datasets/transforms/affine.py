"""The one geometric transform: a single warp of the image, exact arithmetic on the labels."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS

from mmdet_ext.structures.warping import affine_matrix, warp_image

from .labels import drop_slots_outside, move_slots


@TRANSFORMS.register_module()
class ParkingSlotAffine(BaseTransform):
    """Resize, rotate, flip, scale and shift as one affine map.

    With its defaults it only resizes (letterboxed, so that angles stay what they are). All maps are
    about the image centres in the frame where the centre of the first pixel is (0, 0). A flip keeps
    the corner order of slots and the arm order of L marks. Points that leave the image are dropped
    with the slots' links to them; a slot stays while the midpoint of its entrance is inside.

    Required keys: ``img``; those of :class:`LoadParkingSlotAnnotations` where labels exist.
    Added keys: ``homography_matrix`` (3, 3), from the original image to this one, and
    ``scale_factor``.

    Args:
        size: Output width and height in pixels.
        rotation: Range of the rotation in degrees, clockwise on screen.
        quarter_turns: Rotate by a random multiple of 90 degrees on top: all headings, and less of a
            square image is lost than with a rotation of up to 360 degrees.
        flip_prob: Probability of a left-right mirroring (with a rotation of up to 360 degrees
            this makes every mirroring).
        scale: Range of the zoom on top of the resize.
        shift: Largest shift in each axis as a fraction of ``size``.
        border_value: Grey value outside the source image.
    """

    def __init__(
        self,
        size: tuple[int, int],
        rotation: tuple[float, float] = (0.0, 0.0),
        quarter_turns: bool = False,
        flip_prob: float = 0.0,
        scale: tuple[float, float] = (1.0, 1.0),
        shift: float = 0.0,
        border_value: int = 114,
    ) -> None:
        self.size = tuple(size)
        self.rotation = rotation
        self.quarter_turns = quarter_turns
        self.flip_prob = flip_prob
        self.scale = scale
        self.shift = shift
        self.border_value = border_value

    @cache_randomness
    def random_parameters(self) -> tuple[float, float, np.ndarray, bool]:
        """Draw rotation (radians), zoom, shift (pixels, (2,)) and flip."""
        degrees = np.random.uniform(*self.rotation)  # noqa: NPY002 (mmengine seeds this one)
        if self.quarter_turns:
            degrees += 90 * np.random.randint(4)  # noqa: NPY002
        return (
            np.deg2rad(degrees),
            np.random.uniform(*self.scale),  # noqa: NPY002
            np.random.uniform(-self.shift, self.shift, 2) * self.size,  # noqa: NPY002
            np.random.rand() < self.flip_prob,  # noqa: NPY002
        )

    def transform(self, results: dict) -> dict:
        """Warp the image and carry the labels along."""
        height, width = results['img'].shape[:2]
        matrix = affine_matrix((width, height), self.size, *self.random_parameters())
        results['img'] = warp_image(results['img'], matrix, self.size, self.border_value)
        results['img_shape'] = self.size[::-1]
        results['homography_matrix'] = (
            matrix @ results.get('homography_matrix', np.eye(3))
        ).astype(np.float32)
        results['scale_factor'] = (self.size[0] / width, self.size[1] / height)
        move_slots(results, matrix)
        drop_slots_outside(results, (0, 0, *self.size))
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(size={self.size}, rotation={self.rotation}, '
            f'quarter_turns={self.quarter_turns}, flip_prob={self.flip_prob}, scale={self.scale}, shift={self.shift})'
        )
