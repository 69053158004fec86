"""The dataset of parking slots and marking points."""

from pathlib import Path

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS

from mmdet_ext.datasets.formats.parking_slot_coco import (
    LABEL_KINDS,
    SLOT_TYPES,
    ParkingImage,
    read_parking_slot_coco,
)


@DATASETS.register_module()
class ParkingSlotDataset(CocoDataset):
    """Surround-view images labelled in parking-slot COCO.

    Every item of ``data_list`` holds what :class:`CocoDataset` gives for the slots (so stock
    pipelines and detectors work on it), the record with points and corners under ``parking``, and
    under ``label_kinds`` the kinds of label that the file is complete in; losses of other kinds
    are masked.

    Args:
        labels: Use only these kinds of label, a subset of what the file has. None: all.
        kwargs: As for :class:`mmdet.datasets.CocoDataset`.

    Raises:
        FileNotFoundError: The annotation file or the image folder is missing.
        ValueError: The file is invalid, its categories differ from ``metainfo['classes']``, it
            lacks one of ``labels``, or no image is left after filtering.
    """

    METAINFO = {
        'classes': SLOT_TYPES,
        'palette': [(64, 170, 255), (255, 170, 40), (240, 90, 170)],
    }

    def __init__(self, *args, labels: list[str] | None = None, **kwargs) -> None:
        self.labels = labels
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read ``ann_file`` and return one dict per image."""
        content = read_parking_slot_coco(self.ann_file)
        kinds = self._label_kinds(content.classes, content.labels)
        self._check_images(content.images)
        return [self._data_info(record, kinds) for record in content.images]

    def _label_kinds(self, classes: tuple[str, ...], labels: tuple[str, ...]) -> tuple[str, ...]:
        """Check what a file has against the config; kinds of label to use."""
        if classes != tuple(self.metainfo['classes']):
            raise ValueError(
                f'{self.ann_file}: its categories are {classes}, the config has classes '
                f'{tuple(self.metainfo["classes"])}; set `metainfo=dict(classes=...)` of the dataset to '
                'the names in the file.'
            )
        absent = set(self.labels or ()) - set(labels)
        if absent:
            raise ValueError(
                f'{self.ann_file}: `labels` asks for {sorted(absent)}, but `info.labels` has only '
                f'{list(labels)} (of {LABEL_KINDS}); label the rest or drop it from `labels`.'
            )
        return tuple(self.labels or labels)

    def _image_path(self, record: ParkingImage) -> str:
        return str(Path(self.data_prefix['img']) / record.file_name)

    def _check_images(self, records: list[ParkingImage]) -> None:
        if records and not Path(self._image_path(records[0])).is_file():
            raise FileNotFoundError(
                f'{self.ann_file}: its first image {Path(self._image_path(records[0])).absolute()} not '
                'found; check `data_root` and `data_prefix` of the dataset.'
            )

    def _data_info(self, record: ParkingImage, kinds: tuple[str, ...]) -> dict:
        low, high = record.corners.min(1), record.corners.max(1)
        size = (record.width, record.height)
        boxes = [(*a.clip(0, size), *b.clip(0, size)) for a, b in zip(low, high, strict=True)]
        return {
            'img_path': self._image_path(record),
            'img_id': record.image_id,
            'width': record.width,
            'height': record.height,
            'metres_per_pixel': record.metres_per_pixel,
            'parking': vars(record),
            'label_kinds': kinds,
            'instances': [
                {
                    'bbox': box,
                    'bbox_label': int(label),
                    'ignore_flag': 0,
                    'mask': [corners.ravel().tolist()],
                }
                for box, label, corners in zip(
                    boxes, record.slot_types, record.corners, strict=True
                )
            ],
        }

    def filter_data(self) -> list[dict]:
        """Apply ``filter_cfg`` (``filter_empty_gt``, ``min_size``) to training data.

        An image is empty when it has neither a slot nor a marking point.
        """
        config = {} if self.test_mode else self.filter_cfg or {}
        kept = [info for info in self.data_list if _passes(info, **config)]
        if not kept:
            raise ValueError(
                f'{self.ann_file}: none of its {len(self.data_list)} images is left after '
                f'filter_cfg={config}; check the labels or loosen `filter_cfg`.'
            )
        return kept


def _passes(info: dict, filter_empty_gt: bool = False, min_size: int = 0) -> bool:
    empty = not info['instances'] and not len(info['parking']['points'])
    return not (filter_empty_gt and empty) and min(info['width'], info['height']) >= min_size
