"""Any transform of torchvision.transforms.v2, by its name, with all labels."""

import inspect
from typing import Any

import cv2
import numpy as np
import torch
import torchvision
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes, autocast_box_type
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from torchvision import tv_tensors
from torchvision.transforms import v2

from mmdet_ext.utils.errors import did_you_mean

from .labels import (
    centred,
    drop_slots_outside,
    has_slots,
    keep_instances,
    move_keypoints,
    move_slots,
    record_map,
    translation,
)
from .torchvision_images import from_torchvision, to_torchvision

_CONVERSIONS = """ClampBoundingBoxes ClampKeyPoints ConvertBoundingBoxFormat ConvertImageDtype
Normalize PILToTensor SetClampingMode ToDtype ToImage ToPILImage ToPureTensor ToTensor"""
_REFUSED = {
    'MixUp CutMix': 'mixes a batch: use CachedMixUp or CachedMosaic, for slots ParkingSlotMixUp or '
    'ParkingSlotMosaic',
    'FiveCrop TenCrop': 'makes several images of one: use TestTimeAug',
    'Compose RandomApply RandomChoice RandomOrder Lambda': 'holds other transforms: use those of mmcv '
    'of that name around this one',
    'SanitizeBoundingBoxes SanitizeKeyPoints': 'drops labels: use FilterAnnotations',
    'AutoAugment RandAugment TrivialAugmentWide AugMix': 'moves the image without its labels: use '
    'AutoAugment or RandAugment of MMDetection',
    'UniformTemporalSubsample': 'is for videos: use UniformRefFrameSample',
    _CONVERSIONS: 'converts types, ranges or formats: the packing step and the data preprocessor do '
    'that',
}
_PROBES = 17  # points along each side that show where pixels go
_STRAIGHT = 0.02  # pixels by which a point may miss the map that is fitted to all


@TRANSFORMS.register_module()
class TorchvisionTransform(BaseTransform):
    """A transform of ``torchvision.transforms.v2`` on image and labels.

    Boxes, masks and ``gt_seg_map`` go through torchvision; polygon masks become bitmaps where the
    geometry changes. Boxes of which nothing is left are dropped. Keypoints, marking points and
    slots follow the map of the image, which is read off probe points: so they are exact on every
    version of torchvision (0.16 has no ``KeyPoints``) and not clamped to the image, and flips keep the
    corner order of slots. Slots need an affine map, keypoints an affine or perspective one.

    Args:
        name: Class in ``torchvision.transforms.v2``, such as ``'RandomRotation'``.
        options: Its arguments; ``interpolation`` may be a name such as ``'bilinear'``, ``fill`` is RGB in
            the range 0 to 255 of uint8 images, 0 to 1 of others.

    Raises:
        ValueError: There is no such transform, it does not fit into a pipeline, or it bends the image
            in a way that the labels cannot follow.
    """

    def __init__(self, name: str, **options: Any) -> None:
        self.name = name
        self.options = options
        self.operation = build_operation(name, options)

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Transform image and labels."""
        image = results['img']
        shape = image.shape[:2]
        needs_map = has_slots(results) or results.get('gt_keypoints') is not None
        has_probes = self.name != 'RandomIoUCrop'  # which takes the first boxes for all there are
        if needs_map and not has_probes:
            raise ValueError(
                'TorchvisionTransform: RandomIoUCrop is for boxes and masks only, these labels have '
                'keypoints or slots: use DetRandomResizedCrop.'
            )
        sample = {'image': tv_tensors.Image(to_torchvision(image)), **_labels_of(results, shape)}
        if has_probes:
            points = torch.from_numpy(np.tile(probe_points(shape), 2))
            sample['probes'] = _boxes(points, shape)
        sample = self._apply(sample)
        results['img'] = from_torchvision(sample['image'], image)
        results['img_shape'] = results['img'].shape[:2]
        _put_back(results, sample, shape)
        if has_probes:
            matrix = fit_map(sample['probes'], shape, results['img_shape'])
            if self.options.get('expand') and matrix is not None:
                matrix = _recentre(results, matrix, shape)
            self._move(results, matrix)
        return results

    def _apply(self, sample: dict) -> dict:
        try:
            return self.operation(sample)
        except TypeError as error:  # such as RandomIoUCrop's without boxes
            raise ValueError(
                f'TorchvisionTransform: {self.name} of torchvision {torchvision.__version__} does not take '
                f'these labels ({error}): use it without labels, or another transform.'
            ) from error

    def _move(self, results: dict, matrix: np.ndarray | None) -> None:
        """Carry what torchvision does not know along, and note the map."""
        slots, keypoints = has_slots(results), results.get('gt_keypoints') is not None
        bends = matrix is None or bool(slots and matrix[2, :2].any())
        if bends and (slots or keypoints):
            labels = 'marking points and slots' if slots else 'keypoints'
            raise ValueError(
                f'TorchvisionTransform: {self.name} bends the image in a way that {labels} cannot '
                'follow: use another transform, such as RandomAffine.'
            )
        if bends or np.array_equal(matrix, np.eye(3)):
            return
        height, width = results['img_shape']
        move_keypoints(results, matrix)
        move_slots(results, centred(matrix))
        drop_slots_outside(results, (0, 0, width, height))
        record_map(results, matrix)

    def __repr__(self) -> str:
        options = ''.join(f', {key}={value!r}' for key, value in self.options.items())
        return f'{type(self).__name__}(name={self.name!r}{options})'


def build_operation(name: str, options: dict) -> v2.Transform:
    """Build a transform of torchvision that fits into a pipeline.

    Args:
        name: Its class.
        options: Its arguments.

    Returns:
        The transform.

    Raises:
        ValueError: There is none of that name, or it does not fit.
    """
    for names, reason in _REFUSED.items():
        if name in names.split():
            raise ValueError(f'TorchvisionTransform: {name} {reason}.')
    refused = set(' '.join(_REFUSED).split()) | {'Transform'}
    known = {
        key
        for key, value in vars(v2).items()
        if inspect.isclass(value) and issubclass(value, torch.nn.Module) and key not in refused
    }
    if name not in known:
        raise ValueError(
            f'TorchvisionTransform: torchvision {torchvision.__version__} has no transform '
            f'{name!r}{did_you_mean(name, sorted(known))}: correct `name`; the names are those of '
            'torchvision.transforms.v2.'
        )
    options = dict(options)
    if isinstance(options.get('interpolation'), str):
        options['interpolation'] = v2.InterpolationMode(options['interpolation'])
    if 'antialias' in inspect.signature(getattr(v2, name)).parameters:
        options.setdefault('antialias', True)  # the default from torchvision 0.17 on
    return getattr(v2, name)(**options)


def _labels_of(results: dict, shape: tuple[int, int]) -> dict:
    """Labels as torchvision's kinds of tensor."""
    sample = {}
    if results.get('gt_bboxes') is not None:
        sample['boxes'] = _boxes(results['gt_bboxes'].tensor, shape)
    masks = results.get('gt_masks')
    if masks is not None:
        sample['masks'] = tv_tensors.Mask(torch.from_numpy(masks.to_ndarray()))
    if results.get('gt_seg_map') is not None:
        sample['seg_map'] = tv_tensors.Mask(torch.from_numpy(results['gt_seg_map'].copy()))
    return sample


def _boxes(tensor: torch.Tensor, shape: tuple[int, int]) -> tv_tensors.BoundingBoxes:
    return tv_tensors.BoundingBoxes(tensor, format='XYXY', canvas_size=shape)


def _put_back(results: dict, sample: dict, shape: tuple[int, int]) -> None:
    """Take labels out of torchvision's tensors and drop boxes that are gone."""
    height, width = results['img_shape']
    if 'masks' in sample:
        masks = sample['masks'].numpy()
        is_same = (height, width) == shape and np.array_equal(
            masks, results['gt_masks'].to_ndarray()
        )
        if not (is_same and isinstance(results['gt_masks'], PolygonMasks)):
            results['gt_masks'] = BitmapMasks(masks, height, width)
    if 'seg_map' in sample:
        results['gt_seg_map'] = sample['seg_map'].numpy()
    if 'boxes' in sample:
        boxes = sample['boxes'].as_subclass(torch.Tensor)
        results['gt_bboxes'] = HorizontalBoxes(boxes)
        keep_instances(results, (results['gt_bboxes'].areas > 0).numpy())


def _recentre(results: dict, matrix: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Make up for torchvision's rounding when a rotation expands the image: the middle stays it."""
    middle = matrix @ (shape[1] / 2, shape[0] / 2, 1)
    height, width = results['img_shape']
    shift = (width / 2 - middle[0], height / 2 - middle[1])
    if results.get('gt_bboxes') is not None:
        results['gt_bboxes'].translate_(shift)
        results['gt_bboxes'].clip_(results['img_shape'])
    return translation(*shift) @ matrix


def probe_points(shape: tuple[int, int]) -> np.ndarray:
    """Points spread over an image, none on its border.

    Args:
        shape: Height and width.

    Returns:
        Shape ``(K, 2)``.
    """
    y, x = ((np.arange(_PROBES) + 0.5) * length / _PROBES for length in shape)
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


def fit_map(
    boxes: torch.Tensor, shape: tuple[int, int], new_shape: tuple[int, int]
) -> np.ndarray | None:
    """Read the map of an image off its probe points.

    Args:
        boxes: The points of :func:`probe_points` after the transform, as boxes, ``(K, 4)``.
        shape: Height and width before.
        new_shape: Height and width after; points that were clamped to its border are left out.

    Returns:
        Affine or perspective map between pixel edges, ``(3, 3)``; None if it is neither, or too few
        points are left to tell.
    """
    before, after = probe_points(shape), boxes.as_subclass(torch.Tensor).numpy()[:, :2]
    if np.array_equal(before, after):
        return np.eye(3)
    inside = ((after > 1e-6) & (after < np.array(new_shape[::-1]) - 1e-6)).all(1)
    before, after = before[inside], after[inside]
    if np.linalg.matrix_rank(before - before.mean(0) if len(before) else np.zeros((1, 2))) < 2:
        return None
    ones = np.ones((len(before), 1))
    solution = np.linalg.lstsq(np.hstack([before, ones]), after, rcond=None)[0]
    matrix = np.vstack([solution.T, [0, 0, 1]])
    if _misses(matrix, before, after) > _STRAIGHT:
        matrix = cv2.findHomography(before, after)[0] if len(before) > 4 else None
    if matrix is None or _misses(matrix, before, after) > _STRAIGHT:
        return None
    return matrix


def _misses(matrix: np.ndarray, before: np.ndarray, after: np.ndarray) -> float:
    moved = cv2.perspectiveTransform(before[None], matrix)[0]
    return float(np.abs(moved - after).max())
