"""A COCO file of any kind, parking-slot COCO included, to look at and take images out of."""

import json
import re
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmdet_ext.datasets.image_labels import condition_of
from mmdet_ext.utils.errors import did_you_mean
from mmdet_ext.utils.files import parse_json, write_whole

_BY_IMAGE = ('annotations', 'marking_points')
"""Lists whose entries must have an ``image_id``; others may."""


class CocoFile:
    """A COCO file to take images out of.

    Args:
        path: JSON file with ``images``.

    Attributes:
        content: What the file holds.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no COCO file, or its images and annotations do not fit together.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.content = _load(self.path)
        self.images: list[dict] = self.content['images']
        self._rows = {image['id']: row for row, image in enumerate(self.images)}
        self._check()

    def _check(self) -> None:
        if len(self._rows) < len(self.images):
            raise ValueError(
                f'{self.path}: {len(self.images) - len(self._rows)} of {len(self.images)} images have '
                'the `id` of another; give each an id of its own.'
            )
        for key in self._keys_by_image():
            strays = [e for e in self.content[key] if e.get('image_id') not in self._rows]
            if strays:
                raise ValueError(
                    f'{self.path}: {len(strays)} entries of `{key}` are of no image in `images`, first '
                    f'with image_id {strays[0].get("image_id")!r}; add their images or remove them.'
                )

    def _keys_by_image(self) -> list[str]:
        """Top-level lists whose entries each belong to an image."""
        return [
            key
            for key, entries in self.content.items()
            if isinstance(entries, list)
            and (key in _BY_IMAGE or any('image_id' in e for e in entries if isinstance(e, dict)))
        ]

    def labels(self, by: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """Labels that images are stratified by.

        Args:
            by: ``class``, ``condition`` or another key or tag of the images.

        Returns:
            Names of L labels, and which each image has, ``(N, L)`` bool.

        Raises:
            ValueError: No image has one of the keys.
        """
        names, columns = [], []
        for kind in by:
            values = self._classes() if kind == 'class' else self._conditions(kind)
            names += values
            columns += values.values()
        matrix = np.zeros((len(self.images), len(names)), bool)
        for column, rows in enumerate(columns):
            matrix[rows, column] = True
        return names, matrix

    def _classes(self) -> dict[str, list[int]]:
        names = {c['id']: str(c['name']) for c in self.content.get('categories', [])}
        found: dict[str, list[int]] = {name: [] for name in names.values()}
        for entry in self.content.get('annotations', []):
            # Panoptic COCO names the classes of an image in its segments.
            for part in entry.get('segments_info', [entry]):
                if 'category_id' in part:
                    name = names.get(part['category_id'], f'category {part["category_id"]}')
                    found.setdefault(name, []).append(self._rows[entry['image_id']])
        return found

    def _conditions(self, kind: str) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for row, image in enumerate(self.images):
            value = condition_of(image, kind)
            if value is not None:
                found.setdefault(f'{kind} {value}', []).append(row)
        if not found:
            known = sorted({key for i in self.images for key in (*i, *(i.get('tags') or {}))})
            raise ValueError(
                f'{self.path}: no image has `{kind}`{did_you_mean(kind, known)}; expected `class`, or '
                'a key or tag of the images such as `condition`.'
            )
        return dict(sorted(found.items()))

    def groups(self, group: str) -> list[Hashable]:
        """Sequence or site of each image.

        Args:
            group: A key or tag of the images, or a regular expression on ``file_name``: its groups
                in brackets are the name, or all that it matches if it has none.

        Returns:
            One name per image.

        Raises:
            ValueError: An image has no name, or this is no regular expression.
        """
        names: list[Hashable] = [condition_of(image, group) for image in self.images]
        if all(name is None for name in names):
            try:
                matches = [re.search(group, file_name(image)) for image in self.images]
            except re.error as error:
                raise ValueError(
                    f'The group {group!r} is no regular expression: {error}.'
                ) from error
            names = [match and (match.groups() or match.group()) for match in matches]
        nameless = [file_name(i) for i, n in zip(self.images, names, strict=True) if n is None]
        if nameless:
            raise ValueError(
                f'{self.path}: {len(nameless)} of {len(names)} images, first {nameless[0]}, belong to no '
                f'group by {group!r}; expected a key of the images such as `group`, or a regular '
                'expression that every file_name matches.'
            )
        return names

    def write(self, path: Path, rows: np.ndarray) -> None:
        """Write some of the images with all that belongs to them, ids and everything else as it is.

        Args:
            path: File to write.
            rows: Indices in ``images``.

        Raises:
            ValueError: ``path`` is the file itself.
        """
        if path.resolve() == self.path.resolve():
            raise ValueError(f'{path} is the file to split; write to another folder.')
        chosen = [self.images[row] for row in rows]
        ids = {image['id'] for image in chosen}
        content = self.content | {'images': chosen}
        for key in self._keys_by_image():
            content[key] = [entry for entry in content[key] if entry['image_id'] in ids]
        write_whole(path, json.dumps(content, separators=(',', ':'), ensure_ascii=False))


def file_name(image: dict) -> str:
    """File name of an image, or what stands in for it: LVIS has none, only a web address."""
    return str(image.get('file_name') or image.get('coco_url') or image['id'])


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f'The annotation file {path} does not exist: correct the path.')
    try:
        content = parse_json(path)
    except ValueError as error:
        raise ValueError(f'{path}: not valid JSON ({error}); expected a COCO file.') from error
    images = content.get('images') if isinstance(content, dict) else None
    if not isinstance(images, list) or not images:
        raise ValueError(f'{path}: no list `images` with at least one image; expected a COCO file.')
    for row, image in enumerate(images):
        if not isinstance(image, dict) or 'id' not in image:
            raise ValueError(
                f'{path}: images[{row}] has no `id`; give each image an id of its own.'
            )
    return content
