"""Batches as data loaders give them to models."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from torch import Tensor


def batch_size_of(batch: Any) -> int:
    """Count the images of a batch.

    Args:
        batch: As MMEngine's collate functions make it: ``inputs`` is a list of images or a tensor.

    Returns:
        Number of images.

    Raises:
        ValueError: There is no such list, as in semi-supervised training with its branches.
    """
    inputs = batch.get('inputs') if isinstance(batch, Mapping) else None
    if not isinstance(inputs, list | tuple | Tensor):
        keys = ', '.join(map(str, batch)) if isinstance(batch, Mapping) else type(batch).__name__
        raise ValueError(
            f'a batch of the data loader has no list of images in `inputs`, but {keys}: its images '
            'cannot be counted; use the collate function `pseudo_collate`.'
        )
    return len(inputs)


def split_batch(batch: Any, parts: int) -> list[Any]:
    """Split a batch into batches of nearly equal sizes, in order.

    Args:
        batch: See :func:`batch_size_of`; what is no list of as many entries goes into every part.
        parts: How many; at most one per image are made.

    Returns:
        The parts.
    """
    size = batch_size_of(batch)
    parts = min(parts, size)
    bounds = [size * i // parts for i in range(parts + 1)]
    return [_part(batch, size, slice(*ends)) for ends in pairwise(bounds)]


def image_files_of(batch: Any) -> list[str]:
    """Name the image files of a batch, or the place in the batch where there is no file."""
    samples = batch.get('data_samples') if isinstance(batch, Mapping) else None
    files = [getattr(sample, 'img_path', None) for sample in samples or []]
    files += [None] * (batch_size_of(batch) - len(files))
    return [file or f'image {i} of the batch' for i, file in enumerate(files)]


def _part(value: Any, size: int, part: slice) -> Any:
    if isinstance(value, Mapping):
        return {key: _part(entry, size, part) for key, entry in value.items()}
    if (
        isinstance(value, list | tuple | Tensor)
        and getattr(value, 'ndim', 1)
        and len(value) == size
    ):
        return value[part]
    return value
