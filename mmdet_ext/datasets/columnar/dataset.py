"""A dataset whose annotations stay on disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.dataset import force_full_init

from mmdet_ext.datasets.columnar import coco, parking_slots
from mmdet_ext.datasets.columnar.arrow_file import ArrowFile
from mmdet_ext.datasets.parking_slot_dataset import ParkingSlotDataset


class ArrowRows(Sequence):
    """Some rows of a columnar file, each read when it is asked for.

    Args:
        file: The file.
        index: Rows of the file, in order. None: all.
    """

    def __init__(self, file: ArrowFile, index: torch.Tensor | None = None) -> None:
        self.file = file
        # A tensor, as PyTorch hands those to spawned workers in shared memory.
        self._index = range(len(file)) if index is None else index

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, position: int) -> dict[str, Any]:
        return self.file.row(int(self._index[position]))

    def select(self, positions: slice | Sequence[int]) -> 'ArrowRows':
        """Return the rows at these positions, which count from the end where negative."""
        everything = isinstance(self._index, range)
        index = torch.arange(len(self), dtype=torch.int32) if everything else self._index
        if not isinstance(positions, slice):
            positions = torch.as_tensor(positions, dtype=torch.int64)
        return ArrowRows(self.file, index[positions])


@DATASETS.register_module()
class ColumnarDataset(ParkingSlotDataset):
    """CocoDataset or ParkingSlotDataset for sets too large to hold in every process.

    Items, their order, ``filter_cfg``, ``indices`` and ``test_mode`` are those of
    :class:`mmdet.datasets.CocoDataset` or :class:`ParkingSlotDataset`, whichever reads the JSON
    that the file was made from (``tools/dataset/to_columnar.py``). Annotations are mapped into
    memory, not loaded: all workers and ranks of a machine share one copy, in the system's page
    cache. So no rank needs a shard of its own, and any sampler shuffles over the whole set.

    Args:
        args: As for :class:`mmdet.datasets.CocoDataset`; ``ann_file`` is a columnar file, and
            ``metainfo`` defaults to what it has.
        labels: For parking slots, use only these kinds of label. None: all.
        kwargs: As ``args``. ``serialize_data`` has no effect.

    Raises:
        FileNotFoundError: The annotation file, or the image folder of parking slots, is missing.
        ValueError: The file is no columnar file, has none of the classes (parking slots: not
            exactly these) or lacks one of ``labels``; or no image is left after filtering.
        ImportError: pyarrow is missing.
    """

    METAINFO = {}

    def __init__(self, *args, lazy_init: bool = False, **kwargs) -> None:
        super().__init__(*args, lazy_init=True, **kwargs)
        self.serialize_data = False  # data_list is a view of the file
        if self.proposal_file is not None:
            raise ValueError(
                'ColumnarDataset has no `proposal_file`; use CocoDataset to train on proposals.'
            )
        if not lazy_init or Path(self.ann_file).is_file():  # inferencers have no data and need none
            self._metainfo = _metainfo_of(ArrowFile(self.ann_file)) | self._metainfo
        if not lazy_init:
            self.full_init()

    def load_data_list(self) -> ArrowRows:
        """Open ``ann_file`` and return its rows."""
        file = ArrowFile(self.ann_file)
        self._has_slots = file.description['kind'] == parking_slots.KIND
        rows = ArrowRows(file)
        if self._has_slots:
            classes, labels = (tuple(file.description[key]) for key in ('classes', 'labels'))
            self._kinds = self._label_kinds(classes, labels)
            self._check_images([parking_slots.parking_image(rows[0])] if len(rows) else [])
        else:
            self._find_categories(file)
        return rows

    def _find_categories(self, file: ArrowFile) -> None:
        if self.labels:
            raise ValueError(
                f'{self.ann_file}: `labels` is {self.labels}, but this is a file of boxes, not of '
                'parking slots; leave out `labels` of the dataset.'
            )
        categories = file.description['categories']
        self.cat_ids = coco.category_ids(categories, self.metainfo['classes'])
        if not self.cat_ids:
            raise ValueError(
                f'{self.ann_file}: none of the classes {self.metainfo["classes"]} is among its '
                f'categories {[category["name"] for category in categories]}; correct `metainfo` of '
                'the dataset.'
            )
        self.cat2label = {category: label for label, category in enumerate(self.cat_ids)}

    def filter_data(self) -> ArrowRows:
        """Apply ``filter_cfg`` (``filter_empty_gt``, ``min_size``) to training data."""
        config = {} if self.test_mode else self.filter_cfg or {}
        rows = self.data_list
        if config.get('filter_empty_gt') or config.get('min_size'):
            kept = [self._passes(batch, config) for batch in rows.file.batches()]
            rows = rows.select(np.flatnonzero(np.concatenate(kept or [[]])))
        if not len(rows):
            raise ValueError(
                f'{self.ann_file}: none of its {len(self.data_list)} images is left after '
                f'filter_cfg={config}; check the labels or loosen `filter_cfg`.'
            )
        return rows

    def _passes(self, batch, config: dict) -> np.ndarray:
        width, height = (batch.column(name).to_numpy() for name in ('width', 'height'))
        passes = np.minimum(width, height) >= config.get('min_size', 0)
        if config.get('filter_empty_gt'):
            passes &= (
                parking_slots.is_labelled(batch)
                if self._has_slots
                else coco.is_labelled(batch, self.cat_ids)
            )
        return passes

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """Read one item from the file.

        Args:
            idx: Index.

        Returns:
            What CocoDataset or ParkingSlotDataset gives.
        """
        row = self.data_list[idx]
        if self._has_slots:
            info = self._data_info(parking_slots.parking_image(row), self._kinds)
        else:
            info = self.parse_data_info(coco.raw_data_info(row))
        info['sample_idx'] = idx if idx >= 0 else len(self) + idx
        return info

    def _get_unserialized_subset(self, indices: int | Sequence[int]) -> ArrowRows:
        if isinstance(indices, int):
            indices = slice(indices) if indices >= 0 else slice(indices, None)
        return self.data_list.select(indices)


def _metainfo_of(file: ArrowFile) -> dict[str, Any]:
    """Classes of the file, with the palette where these are well-known ones."""
    description = file.description
    if description['kind'] == parking_slots.KIND:
        classes = tuple(description['classes'])
    else:
        classes = tuple(category['name'] for category in description['categories'])
    known = (CocoDataset.METAINFO, ParkingSlotDataset.METAINFO)
    return next((info for info in known if info['classes'] == classes), {'classes': classes})
