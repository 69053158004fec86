"""Classes, conditions and tags of a dataset's images, which balancing goes by."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from mmengine.dataset import BaseDataset

from mmdet_ext.utils.files import parse_json


def image_labels(dataset: BaseDataset, by: str | Sequence[str]) -> list[set[tuple[str, Hashable]]]:
    """Labels of each image of a dataset or wrapper.

    Args:
        dataset: Gives ``get_data_info``; conditions are taken from the ``parking`` record of
            :class:`ParkingSlotDataset`, for other datasets from ``images`` of the COCO ``ann_file``.
        by: ``class``, ``condition`` or the name of a tag, or several of them.

    Returns:
        Pairs of kind and value, such as ``('class', 2)`` and ``('condition', 'night')``.

    Raises:
        ValueError: No image has a label of one of these kinds.
    """
    kinds = [by] if isinstance(by, str) else list(by)
    dataset.full_init()
    labels: list[set] = [set() for _ in range(len(dataset))]
    if 'class' in kinds:
        for index, found in enumerate(labels):
            found |= {('class', label) for label in _classes(dataset, index)}
    conditions = [kind for kind in kinds if kind != 'class']
    if conditions:
        entries = _entries(dataset)
        for index, found in enumerate(labels):
            info = dataset.get_data_info(index)
            entry = info.get('parking') or entries.get(info.get('img_id'), {})
            values = {kind: condition_of(entry, kind) for kind in conditions}
            found |= {(kind, value) for kind, value in values.items() if value is not None}
    missing = set(kinds) - {kind for found in labels for kind, _ in found}
    if missing:
        raise ValueError(
            f'No image of {type(dataset).__name__} ({getattr(dataset, "ann_file", "no ann_file")}) '
            f'has {sorted(missing)}; expected `class`, or a key or tag of `images` such as `condition`.'
        )
    return labels


def condition_of(image: Mapping[str, Any], kind: str) -> Hashable:
    """Value that an image has for a condition: its own key or one of its ``tags``; None if neither."""
    value = image.get(kind)
    return (image.get('tags') or {}).get(kind) if value is None else value


def _classes(dataset: BaseDataset, index: int) -> list[int]:
    if hasattr(dataset, 'get_cat_ids'):
        return dataset.get_cat_ids(index)
    return [instance['bbox_label'] for instance in dataset.get_data_info(index)['instances']]


def _entries(dataset: BaseDataset) -> dict[Hashable, dict]:
    """Entries of ``images`` by id, which stock CocoDataset reads without their conditions."""
    while hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    path = getattr(dataset, 'ann_file', '')
    if not path.endswith('.json') or not len(dataset) or 'parking' in dataset.get_data_info(0):
        return {}
    return {image['id']: image for image in parse_json(path)['images']}
