"""Covering of parts of a picture, and what becomes of the labels under them."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import shapely
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.structures.bbox import autocast_box_type
from mmdet.structures.mask import PolygonMasks

from .labels import has_slots, keep_instances, keep_points
from .options import check_between

Fill = float | Sequence[float] | str

_SEG_IGNORED = 255  # as in MMDetection's RandomErasing


class Covering(BaseTransform):
    """Base of the transforms that cover rectangles of an image.

    Masks lose what is covered (polygons become bitmaps), ``gt_seg_map`` gets 255 there, and covered
    keypoints are not visible any more (2 becomes 1). Boxes, slots and marking points stay as they
    are unless the options below say otherwise.

    Args:
        prob: Probability that anything is covered.
        fill: Value of covered pixels in the image's own range and channel order, one number or one
            per channel, or ``'random'`` for noise.
        drop_covered: Boxes and slots of whose visible part more than this fraction is covered are
            dropped. None: all stay.
        drop_covered_points: Drop marking points that are covered, and the slots' links to them.
    """

    def __init__(
        self,
        prob: float,
        fill: Fill,
        drop_covered: float | None = None,
        drop_covered_points: bool = False,
    ) -> None:
        if isinstance(fill, str) and fill != 'random':
            raise ValueError(
                f'{type(self).__name__}: `fill` is {fill!r}; expected a number, one per channel or '
                "'random': correct it in the pipeline."
            )
        self.prob = check_between(self, 'prob', prob, 0, 1)
        self.fill = fill
        if drop_covered is not None:
            check_between(self, 'drop_covered', drop_covered, 0, 1)
        self.drop_covered = drop_covered
        self.drop_covered_points = drop_covered_points

    @cache_randomness
    def random_rectangles(self, height: int, width: int) -> np.ndarray:
        """Draw what to cover in an image, if anything: ``x1 y1 x2 y2`` in pixels, ``(K, 4)``, int."""
        if np.random.rand() >= self.prob:  # noqa: NPY002 (mmengine seeds this one)
            return np.zeros((0, 4), int)
        return self._draw(height, width)

    @abstractmethod
    def _draw(self, height: int, width: int) -> np.ndarray:
        """Draw rectangles, ``(K, 4)``, int."""

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Cover parts of the image."""
        height, width = results['img'].shape[:2]
        rectangles = self.random_rectangles(height, width)
        if len(rectangles):
            fill_rectangles(results['img'], rectangles, self.fill)
            cover_masks(results, rectangles)
            if self.drop_covered is not None:
                keep_instances(results, covered_fractions(results, rectangles) <= self.drop_covered)
            if self.drop_covered_points and has_slots(results):
                keep_points(results, ~is_covered(results['gt_points'] + 0.5, rectangles))
        return results

    def _repr(self, *options: str) -> str:
        names = (*options, 'prob', 'fill', 'drop_covered', 'drop_covered_points')
        values = ', '.join(f'{name}={getattr(self, name)!r}' for name in names)
        return f'{type(self).__name__}({values})'


def fill_rectangles(image: np.ndarray, rectangles: np.ndarray, fill: Fill) -> None:
    """Fill parts of an image in place.

    Args:
        image: Shape ``(H, W)`` or ``(H, W, C)``.
        rectangles: Edges ``x1 y1 x2 y2``, ``(K, 4)``, int.
        fill: A number, one per channel, or ``'random'``: even noise over the range of integers, over 0
            to 255 for floating-point pixels.

    Raises:
        ValueError: The number of values differs from that of the channels.
    """
    channels = image.shape[2] if image.ndim == 3 else 1
    if not isinstance(fill, str) and np.size(fill) not in (1, channels):
        raise ValueError(
            f'`fill` has {np.size(fill)} values, the image {channels} channel(s): give one number, or '
            'one per channel.'
        )
    for x1, y1, x2, y2 in rectangles:
        part = image[y1:y2, x1:x2]
        part[...] = _noise(part.shape, image.dtype) if isinstance(fill, str) else fill


def _noise(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if dtype.kind == 'f':
        return np.random.uniform(0, 255, shape)  # noqa: NPY002
    return np.random.randint(0, np.iinfo(dtype).max + 1, shape, dtype)  # noqa: NPY002


def cover_masks(results: dict, rectangles: np.ndarray) -> None:
    """Take covered parts out of masks and the segmentation map, and hide keypoints under them.

    Args:
        results: Pipeline results, changed.
        rectangles: Edges ``x1 y1 x2 y2``, ``(K, 4)``, int.
    """
    masks, seg_map = results.get('gt_masks'), results.get('gt_seg_map')
    if isinstance(masks, PolygonMasks):
        results['gt_masks'] = masks = masks.to_bitmap()
    for x1, y1, x2, y2 in rectangles:
        if masks is not None:
            masks.masks[:, y1:y2, x1:x2] = 0
        if seg_map is not None:
            seg_map[y1:y2, x1:x2] = _SEG_IGNORED
    if results.get('gt_keypoints') is not None:
        keypoints = np.array(results['gt_keypoints'])
        hidden = is_covered(keypoints[..., :2], rectangles)
        keypoints[..., 2] = np.where(hidden, np.minimum(keypoints[..., 2], 1), keypoints[..., 2])
        results['gt_keypoints'] = keypoints


def is_covered(points: np.ndarray, rectangles: np.ndarray) -> np.ndarray:
    """Find the points that lie in a rectangle.

    Args:
        points: Counted from the edge of the first pixel, ``(..., 2)``.
        rectangles: Edges ``x1 y1 x2 y2``, ``(K, 4)``.

    Returns:
        Bool, ``(...)``.
    """
    points = points[..., None, :]
    inside = (points >= rectangles[:, :2]) & (points < rectangles[:, 2:])
    return inside.all(-1).any(-1)


def covered_fractions(results: dict, rectangles: np.ndarray) -> np.ndarray:
    """How much of the visible part of each box or slot is covered.

    Args:
        results: Pipeline results with ``gt_bboxes`` or ``gt_corners``, or neither.
        rectangles: Edges ``x1 y1 x2 y2``, ``(K, 4)``; they may overlap.

    Returns:
        Fractions of areas, ``(M,)``; 0 for what has no area.
    """
    if has_slots(results):
        shapes = shapely.convex_hull(shapely.polygons(results['gt_corners'] + 0.5))
    elif results.get('gt_bboxes') is not None:
        shapes = shapely.box(*results['gt_bboxes'].tensor.double().numpy().T)
    else:
        shapes = np.empty(0, object)
    height, width = results['img'].shape[:2]
    visible = shapely.intersection(shapes, shapely.box(0, 0, width, height))
    cover = shapely.union_all(shapely.box(*rectangles.T))
    areas = shapely.area(visible)
    covered = shapely.area(shapely.intersection(visible, cover))
    return np.divide(covered, areas, out=np.zeros(len(areas)), where=areas > 0)
