"""Copies of small objects at new, free places of the same image."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from .labels import INSTANCE_KEYS, has_slots
from .options import check_between


@TRANSFORMS.register_module()
class SmallObjectCopyPaste(BaseTransform):
    """Copy small objects to places of the image where nothing is.

    Kisantal et al., Augmentation for small object detection, 2019: small objects are rare in images
    and match few anchors; several copies make them count. A place is free where the copy's box meets
    no other box, so nothing is covered. Needs no second image. An object for which no free place
    is found in ``tries`` is not copied. Ignored (crowd) objects are not copied.

    Required keys: ``img``, ``gt_bboxes``, ``gt_bboxes_labels``.
    Changed keys: these, and ``gt_masks``, ``gt_ignore_flags``, ``gt_keypoints``,
    ``gt_instances_ids``, ``gt_seg_map`` where there are any.

    Args:
        max_area: Objects whose box has a smaller area than this, in pixels of this image, are small.
        copies: Of each object.
        max_objects: How many of the small objects are copied, drawn at random.
        prob: Probability that an image gets copies.
        by_mask: Copy only the pixels of the object's mask where there are masks; else the whole box.
        tries: Places drawn for each copy.

    Raises:
        ValueError: An option is out of range, or the labels are those of parking slots.
    """

    def __init__(
        self,
        max_area: float = 32**2,
        copies: int = 3,
        max_objects: int = 10,
        prob: float = 0.5,
        by_mask: bool = True,
        tries: int = 30,
    ) -> None:
        infinite = float('inf')
        self.max_area = check_between(self, 'max_area', max_area, 0, infinite)
        self.copies = check_between(self, 'copies', copies, 1, infinite)
        self.max_objects = check_between(self, 'max_objects', max_objects, 1, infinite)
        self.prob = check_between(self, 'prob', prob, 0, 1)
        self.by_mask = by_mask
        self.tries = check_between(self, 'tries', tries, 1, infinite)

    @cache_randomness
    def random_copies(
        self, boxes: np.ndarray, small: np.ndarray, shape: tuple[int, int]
    ) -> list[tuple[int, int, int]]:
        """Draw the copies: row of the object, shift in x and in y, in whole pixels."""
        if not len(small) or np.random.rand() >= self.prob:  # noqa: NPY002
            return []
        chosen = np.random.permutation(small)[: self.max_objects]  # noqa: NPY002
        taken, found = boxes, []
        for row in np.repeat(chosen, self.copies):
            room = np.array([shape[1], shape[0]]) - np.ceil(boxes[row, 2:])
            low = -np.floor(boxes[row, :2])
            draws = np.random.rand(self.tries, 2)  # noqa: NPY002
            shifts = np.floor(low + draws * (room - low + 1)).astype(int)
            free = _apart(boxes[row] + np.tile(shifts, 2), taken)
            if free.any():
                shift = shifts[free.argmax()]
                taken = np.vstack([taken, boxes[row] + np.tile(shift, 2)])
                found.append((int(row), *shift.tolist()))
        return found

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Paste copies of small objects."""
        if has_slots(results) or 'gt_bboxes' not in results:
            raise ValueError(
                'SmallObjectCopyPaste needs `gt_bboxes`, as of LoadAnnotations: a parking slot belongs to '
                'its place, so take the step out of pipelines for marking points and slots.'
            )
        boxes = results['gt_bboxes'].tensor.double().numpy()
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        ignored = results.get('gt_ignore_flags', np.zeros(len(boxes), bool))
        shape = results['img'].shape[:2]
        inside = (boxes[:, :2] >= 0).all(1) & (boxes[:, 2:] <= shape[::-1]).all(1)
        small = (areas > 0) & (areas < self.max_area) & inside & ~ignored.astype(bool)
        copies = self.random_copies(boxes, np.flatnonzero(small), shape)
        if copies:
            paste(results, copies, self.by_mask)
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(max_area={self.max_area}, copies={self.copies}, '
            f'max_objects={self.max_objects}, prob={self.prob}, by_mask={self.by_mask}, '
            f'tries={self.tries})'
        )


def _apart(boxes: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Which of ``(K, 4)`` boxes meet none of those taken, rounded to whole pixels."""
    low, high = np.floor(boxes[:, None, :2]), np.ceil(boxes[:, None, 2:])
    meets = (low < np.ceil(taken[:, 2:])) & (high > np.floor(taken[:, :2]))
    return ~meets.all(-1).any(-1)


def paste(results: dict, copies: list[tuple[int, int, int]], by_mask: bool) -> None:
    """Copy objects within an image, pixels and labels.

    Args:
        results: Pipeline results, changed.
        copies: Row of an object, shift in x and in y, in whole pixels, for each copy.
        by_mask: Copy only the pixels of the object's mask where there are masks.
    """
    boxes = results['gt_bboxes'].tensor.double().numpy()
    masks = results.get('gt_masks')
    shape = results['img'].shape[:2]
    pictures = [results[key] for key in ('img', 'gt_seg_map') if results.get(key) is not None]
    for row, dx, dy in copies:
        (x1, y1), (x2, y2) = (
            np.floor(boxes[row, :2]).astype(int),
            np.ceil(boxes[row, 2:]).astype(int),
        )
        chosen = np.ones((y2 - y1, x2 - x1), bool)
        if by_mask and masks is not None:
            chosen = masks[[row]].to_ndarray()[0, y1:y2, x1:x2].astype(bool)
        for picture in pictures:
            there = picture[y1 + dy : y2 + dy, x1 + dx : x2 + dx]
            there[chosen] = picture[y1:y2, x1:x2][chosen]
    _append_labels(results, copies, shape)


def _append_labels(results: dict, copies: list, shape: tuple[int, int]) -> None:
    rows = np.array([row for row, _, _ in copies])
    shifts = np.array([(dx, dy) for _, dx, dy in copies])
    boxes, masks = results['gt_bboxes'], results.get('gt_masks')
    new = boxes[rows]
    new.tensor = new.tensor + new.tensor.new_tensor(np.tile(shifts, 2))
    added = {'gt_bboxes': boxes.cat([boxes, new])}
    if masks is not None:
        added['gt_masks'] = masks.cat(
            [masks, _shifted(masks[rows], boxes[rows].tensor.numpy(), shifts, shape)]
        )
    if results.get('gt_keypoints') is not None:
        moved = np.array(results['gt_keypoints'][rows])
        moved[..., :2] += shifts[:, None]
        added['gt_keypoints'] = np.concatenate([results['gt_keypoints'], moved])
    for key in INSTANCE_KEYS:
        if key not in added and results.get(key) is not None:
            added[key] = np.concatenate([results[key], np.asarray(results[key])[rows]])
    results.update(added)


def _shifted(
    masks: BitmapMasks | PolygonMasks, boxes: np.ndarray, shifts: np.ndarray, shape: tuple[int, int]
) -> BitmapMasks | PolygonMasks:
    if isinstance(masks, PolygonMasks):
        moved = [
            [ring + np.resize(shift, ring.shape) for ring in rings]
            for rings, shift in zip(masks.masks, shifts, strict=True)
        ]
        return PolygonMasks(moved, *shape)
    moved = np.zeros_like(masks.masks)
    for mask, old, box, (dx, dy) in zip(moved, masks.masks, boxes, shifts, strict=True):
        (x1, y1), (x2, y2) = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
        mask[y1 + dy : y2 + dy, x1 + dx : x2 + dx] = old[y1:y2, x1:x2]
    return BitmapMasks(moved, *shape)
