"""The one geometric transform: a single warp of the image, exact arithmetic on the labels."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS

from mmdet_ext.structures.marking_points import transform_directions
from mmdet_ext.structures.slots import transform_corners, transform_points


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
        if 'gt_points' in results:
            self._transform_points(results, matrix)
        if 'gt_corners' in results:
            self._transform_slots(results, matrix)
        return results

    def _transform_points(self, results: dict, matrix: np.ndarray) -> None:
        results['gt_points'] = transform_points(results['gt_points'], matrix)
        results['gt_directions'], results['gt_second_arms'] = transform_directions(
            results['gt_directions'], results['gt_second_arms'], results['gt_shapes'], matrix
        )
        inside = self._inside(results['gt_points'])
        for key in ('points', 'directions', 'second_arms', 'shapes', 'has_direction'):
            results[f'gt_{key}'] = results[f'gt_{key}'][inside]
        new_rows = np.append(np.where(inside, np.cumsum(inside) - 1, -1), -1)
        results['gt_slot_points'] = new_rows[results['gt_slot_points']]

    def _transform_slots(self, results: dict, matrix: np.ndarray) -> None:
        corners = transform_corners(results['gt_corners'], matrix)
        if np.linalg.det(matrix[:2, :2]) < 0:
            results['gt_slot_points'] = results['gt_slot_points'][:, ::-1]
        inside = self._inside(corners[:, :2].mean(1))
        results['gt_corners'] = corners[inside]
        for key in ('occupied', 'slot_points', 'bboxes_labels'):
            results[f'gt_{key}'] = results[f'gt_{key}'][inside]

    def _inside(self, points: np.ndarray) -> np.ndarray:
        return ((points >= -0.5) & (points < np.array(self.size) - 0.5)).all(-1)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(size={self.size}, rotation={self.rotation}, '
            f'quarter_turns={self.quarter_turns}, flip_prob={self.flip_prob}, scale={self.scale}, shift={self.shift})'
        )


def affine_matrix(
    source: tuple[int, int],
    target: tuple[int, int],
    rotation: float = 0.0,
    zoom: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
    flip: bool = False,
) -> np.ndarray:
    """Map that flips, zooms to fit, rotates and shifts, about the centres of both images.

    Args:
        source: Width and height of the source image.
        target: Width and height of the target image.
        rotation: Radians, clockwise on screen.
        zoom: Factor on top of the one that fits the source into the target.
        shift: Pixels of the target.
        flip: Mirror left-right first.

    Returns:
        Shape ``(3, 3)``, for coordinates in which the centre of the first pixel is (0, 0).
    """
    factor = zoom * min(target[0] / source[0], target[1] / source[1])
    cos, sin = factor * np.cos(rotation), factor * np.sin(rotation)
    mirror = -1 if flip else 1
    linear = np.array([[cos * mirror, -sin], [sin * mirror, cos]])
    centre = (np.array(source) - 1) / 2
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = (np.array(target) - 1) / 2 + shift - linear @ centre
    return matrix


def warp_image(
    image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], border_value: int
) -> np.ndarray:
    """Warp an image without aliasing: before a strong reduction it is halved by area.

    Args:
        image: Shape ``(H, W, 3)``, uint8.
        matrix: Affine map, ``(3, 3)``.
        size: Output width and height.
        border_value: Grey value outside the source.

    Returns:
        Shape ``(size[1], size[0], 3)``, uint8.
    """
    while np.sqrt(abs(np.linalg.det(matrix[:2, :2]))) < 0.45:
        height, width = image.shape[:2]
        half = (max(width // 2, 1), max(height // 2, 1))
        grow = np.array([width / half[0], height / half[1]])
        back = np.diag([*grow, 1.0])
        back[:2, 2] = (grow - 1) / 2
        image, matrix = cv2.resize(image, half, interpolation=cv2.INTER_AREA), matrix @ back
    return cv2.warpAffine(
        image,
        matrix[:2],
        size,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(border_value,) * 3,
    )
