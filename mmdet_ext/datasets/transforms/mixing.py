"""Mixing pictures with marking points and slots: earlier ones kept at hand, labels joined."""

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from .labels import INSTANCE_KEYS, POINT_KEYS, has_slots
from .options import check_between

_KEPT = ('img', 'label_kinds', *INSTANCE_KEYS, *POINT_KEYS)


class CachedMixing(BaseTransform):
    """Base of the transforms that mix in pictures which came through the pipeline earlier.

    As with MMDetection's ``CachedMosaic`` each loader worker keeps its own pictures, so this works with
    any data set, also one that renders its images; the first pictures of a worker pass unmixed. A worker
    starts anew at each epoch unless ``persistent_workers`` is set, and with a resumed training. An image
    (by ``img_path``) is kept once and never mixed with itself, which would double its labels.

    Args:
        prob: Probability that a picture is mixed.
        max_cached_images: How many are kept; the oldest goes first.
    """

    partners = 1
    """How many other pictures go into one."""

    def __init__(self, prob: float, max_cached_images: int) -> None:
        self.prob = check_between(self, 'prob', prob, 0, 1)
        check_between(self, 'max_cached_images', max_cached_images, self.partners, float('inf'))
        self.max_cached_images = max_cached_images
        self.results_cache: dict[Any, dict] = {}  # by image, the oldest first

    @cache_randomness
    def random_partners(self, count: int) -> list[int] | None:
        """Draw which of ``count`` pictures to mix in; None: this picture stays as it is."""
        if count < self.partners or np.random.rand() >= self.prob:  # noqa: NPY002
            return None
        return np.random.choice(count, self.partners, replace=False).tolist()  # noqa: NPY002

    def transform(self, results: dict) -> dict:
        """Mix earlier pictures into this one."""
        if not has_slots(results):
            raise ValueError(
                f'{type(self).__name__} needs the labels of LoadParkingSlotAnnotations: put it behind that '
                'step, or use CachedMosaic or CachedMixUp for boxes.'
            )
        image = results.get('img_path', object())
        self.results_cache.pop(image, None)
        earlier = list(self.results_cache.values())
        self._keep(image, results)
        chosen = self.random_partners(len(earlier))
        if chosen is not None:
            others = [earlier[i] for i in chosen]
            self._check_alike(results, others)
            self.mix(results, others)
        return results

    def _keep(self, image: Any, results: dict) -> None:
        kept = {key: results[key] for key in _KEPT if key in results}
        self.results_cache[image] = copy.deepcopy(kept)
        if len(self.results_cache) > self.max_cached_images:
            del self.results_cache[next(iter(self.results_cache))]

    @abstractmethod
    def mix(self, results: dict, others: Sequence[dict]) -> None:
        """Change ``results`` into a picture with others in it; those must not be changed."""

    def _check_alike(self, results: dict, others: Sequence[dict]) -> None:
        kinds = {(each['img'].shape[2:], each['img'].dtype.name) for each in (results, *others)}
        if len(kinds) > 1:
            raise ValueError(
                f'{type(self).__name__}: images with (channels), type {sorted(kinds)} cannot be mixed: load '
                'all images in one format.'
            )


def join_labels(parts: Sequence[dict]) -> dict:
    """Join the labels of pictures that show up in one.

    Args:
        parts: Results with the labels of :class:`LoadParkingSlotAnnotations`, in common pixels.

    Returns:
        All labels; the slots' links lead to the joined marking points. ``label_kinds`` are those that all
        pictures are labelled with.
    """
    offsets = np.cumsum([0, *(len(part['gt_points']) for part in parts[:-1])])
    links = [
        np.where(part['gt_slot_points'] >= 0, part['gt_slot_points'] + offset, -1)
        for part, offset in zip(parts, offsets, strict=True)
    ]
    keys = (*POINT_KEYS, 'gt_corners', 'gt_occupied', 'gt_bboxes_labels')
    joined = {key: np.concatenate([part[key] for part in parts]) for key in keys}
    joined['gt_slot_points'] = np.concatenate(links)
    if all('label_kinds' in part for part in parts):
        common = set.intersection(*(set(part['label_kinds']) for part in parts))
        joined['label_kinds'] = tuple(k for k in parts[0]['label_kinds'] if k in common)
    return joined
