"""Packing of pipeline results into data samples."""

import numpy as np
import torch
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from mmdet_ext.structures.slots import clipped_boxes

_SLOT_KEYS = {'gt_corners': 'corners', 'gt_occupied': 'occupied'}
_POINT_KEYS = {
    'gt_points': 'points',
    'gt_directions': 'directions',
    'gt_has_direction': 'has_direction',
    'gt_shapes': 'shapes',
}
META_KEYS = (
    'img_id',
    'img_path',
    'ori_shape',
    'img_shape',
    'homography_matrix',
    'scale_factor',
    'metres_per_pixel',
)


@TRANSFORMS.register_module()
class PackParkingSlotInputs(PackDetInputs):
    """Pack image, slots and marking points.

    The boxes of slots are those of their visible parts. The data sample gets ``gt_instances`` with ``bboxes`` (M, 4), ``labels`` (M,), ``corners``
    (M, 4, 2) and ``occupied`` (M,); ``gt_marking_points`` with ``points`` (N, 2), ``directions``
    (N, 2), ``has_direction`` (N,) and ``shapes`` (N,); and ``label_kinds`` among its meta
    information.

    Args:
        meta_keys: Result keys to keep as meta information.
    """

    def __init__(self, meta_keys: tuple[str, ...] = META_KEYS) -> None:
        super().__init__(meta_keys=(*meta_keys, 'label_kinds'))

    def transform(self, results: dict) -> dict:
        """Return ``inputs`` (3, H, W) and ``data_samples``."""
        if 'gt_corners' in results:
            height, width = results['img_shape'][:2]
            corners = _to_tensor(results['gt_corners'])
            results['gt_bboxes'] = HorizontalBoxes(clipped_boxes(corners, width, height))
        packed = super().transform(results)
        sample = packed['data_samples']
        for key, name in _SLOT_KEYS.items():
            if key in results:
                sample.gt_instances[name] = _to_tensor(results[key])
        if 'gt_points' in results:
            sample.gt_marking_points = InstanceData(
                **{name: _to_tensor(results[key]) for key, name in _POINT_KEYS.items()}
            )
        return packed


def _to_tensor(array: np.ndarray) -> torch.Tensor:
    kind = np.float32 if array.dtype.kind == 'f' else array.dtype
    return torch.from_numpy(np.ascontiguousarray(array, dtype=kind))
