"""Endless training data: scenes rendered while the model trains, never written to disk."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmdet.registry import DATASETS
from mmengine.dist import get_rank

from mmdet_ext.datasets.formats.parking_slot_coco import LABEL_KINDS, SLOT_TYPES
from mmdet_ext.datasets.parking_slot_dataset import ParkingSlotDataset
from mmdet_ext.datasets.surround_view.presets import scene_config
from mmdet_ext.datasets.surround_view.render import render_scene
from mmdet_ext.datasets.transforms.loading import LoadParkingSlotAnnotations


@DATASETS.register_module()
class SurroundViewSceneDataset(ParkingSlotDataset):
    """Synthetic scenes, another one each time an index is asked for.

    Items are those of :class:`ParkingSlotDataset` after ``LoadParkingSlotImage`` and
    ``LoadParkingSlotAnnotations``: leave these two out of the pipeline.

    A scene depends on ``seed``, the process's rank, the index and how often the index was asked for
    before, over all loader workers. With a sampler that asks for every index once per epoch a run is
    thus reproduced whatever the number of workers. A resumed run counts from zero again: give it
    another seed.

    Args:
        preset: Name in ``PRESETS``.
        overrides: Further keywords of ``scene_config``, such as ``size``.
        length: Scenes per epoch.
        seed: Seed, not negative.
        repeat: The same scenes in each epoch and on each rank, for validation. They differ from
            those of training with the same seed.
        labels: Use only these kinds of label, a subset of ``LABEL_KINDS``. None: all.
        kwargs: ``pipeline``, ``metainfo``, ``test_mode``, ... as for
            :class:`mmengine.dataset.BaseDataset`.

    Raises:
        ValueError: A number is out of range, or a preset, class or kind of label is unknown.
    """

    def __init__(
        self,
        preset: str = 'plain',
        overrides: Mapping[str, Any] | None = None,
        length: int = 1000,
        seed: int = 0,
        repeat: bool = False,
        labels: list[str] | None = None,
        **kwargs,
    ) -> None:
        for name, value, smallest in (('length', length, 1), ('seed', seed, 0)):
            if value < smallest:
                raise ValueError(f'{name} is {value}; expected at least {smallest}.')
        self.preset = preset
        self.config = scene_config(preset, **(overrides or {}))
        self.length = length
        self.seed = seed
        self.repeat = repeat
        self._rank = 0 if repeat else get_rank()
        self._visits = torch.zeros(length, dtype=torch.int64).share_memory_()  # by all workers
        self._load_annotations = LoadParkingSlotAnnotations()
        super().__init__(
            labels=labels, data_prefix=dict(img=preset), serialize_data=False, **kwargs
        )
        self.ann_file = f'preset {preset}'  # what errors of hooks call the data

    def load_data_list(self) -> list[dict]:
        """Return one dict per index, with ``img_id`` only: scenes are made when asked for."""
        classes = tuple(self.metainfo['classes'])
        if classes != SLOT_TYPES:
            raise ValueError(
                f'the scenes of {type(self).__name__} have the classes {SLOT_TYPES}, the config has '
                f'{classes}; correct `metainfo=dict(classes=...)` of the dataset.'
            )
        unknown = set(self.labels or ()) - set(LABEL_KINDS)
        if unknown:
            raise ValueError(
                f'`labels` asks for {sorted(unknown)}; expected some of {LABEL_KINDS}.'
            )
        return [{'img_id': index} for index in range(self.length)]

    def filter_data(self) -> list[dict]:
        """Keep everything: what an index shows is not known beforehand."""
        return self.data_list

    def get_data_info(self, idx: int) -> dict:
        """Render the next scene of an index.

        Args:
            idx: Index.

        Returns:
            What :class:`ParkingSlotDataset` gives, with the image and the arrays of the labels.
        """
        info = super().get_data_info(idx)
        image, record = render_scene(self._next_rng(info['img_id']), self.config)
        record.image_id = info['img_id']
        record.file_name = f'{record.image_id:06d}'
        info |= self._data_info(record, tuple(self.labels or LABEL_KINDS))
        info['img'] = image
        info['img_shape'] = info['ori_shape'] = image.shape[:2]
        return self._load_annotations.transform(info)

    def _next_rng(self, index: int) -> np.random.Generator:
        visit = 0 if self.repeat else int(self._visits[index])
        self._visits[index] += 1
        return np.random.default_rng([self.seed, int(self.repeat), self._rank, visit, index])
