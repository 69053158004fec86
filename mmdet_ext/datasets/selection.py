"""Which images of a dataset: by index, file name, condition or class, or some at random."""

from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from typing import Any

import numpy as np


def select_images(
    dataset: Any,
    *,
    index: Sequence[int] = (),
    name: str | None = None,
    conditions: Sequence[str] = (),
    classes: Sequence[str] = (),
    number: int | None = None,
    seed: int = 0,
) -> tuple[list[int], int]:
    """Indices of the images that meet every condition, a random few of them.

    Args:
        dataset: With ``get_data_info`` and ``metainfo``, as mmengine's.
        index: Exactly these, without any other condition.
        name: Shell pattern for the end of the image's path, such as ``garage/*.jpg``.
        conditions: The image's ``condition`` or one of its ``tags`` is one of these.
        classes: The image has an instance of one of these classes.
        number: Draw that many at random. None: all.
        seed: Seed of the draw.

    Returns:
        The indices in ascending order (``index`` in its own), and how many images matched.

    Raises:
        ValueError: Nothing matches, an index or a class does not exist, or ``index`` is not alone.
    """
    if index:
        if name or conditions or classes:
            raise ValueError(
                'images are chosen by index and by what they show at once: leave one of the two out.'
            )
        wrong = [i for i in index if not 0 <= i < len(dataset)]
        if wrong:
            raise ValueError(
                f'there is no image with index {wrong[0]}: the dataset has {len(dataset)}, choose '
                f'from 0 to {len(dataset) - 1}.'
            )
        return list(index), len(index)
    found: Sequence[int] = range(len(dataset))
    if name or conditions or classes:
        found = _matching(dataset, name, set(conditions), set(classes))
    if number is None or number >= len(found):
        return list(found), len(found)
    drawn = np.random.default_rng(seed).choice(len(found), number, replace=False)
    return [found[i] for i in sorted(drawn)], len(found)


def _matching(dataset: Any, name: str | None, conditions: set[str], classes: set[str]) -> list[int]:
    known = tuple(dataset.metainfo.get('classes') or ())
    unknown = sorted(classes - set(known))
    if unknown:
        raise ValueError(f'the dataset has no class {unknown[0]!r}; choose from {known}.')
    labels = {known.index(each) for each in classes}
    found, seen = [], Counter()
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        if 'img' in info:
            raise ValueError(
                f'{type(dataset).__name__} makes other images each time, so that none can be looked '
                'for: choose by index or number.'
            )
        values = conditions_of(info)
        seen.update(values)
        if (
            (not name or fnmatch(info['img_path'], f'*{name}'))
            and (not conditions or conditions.intersection(values))
            and (not labels or labels.intersection(_labels(info)))
        ):
            found.append(i)
    if not found:
        asked = [text for text in (name, *sorted(conditions), *sorted(classes)) if text]
        there = ', '.join(f'{value} ({count})' for value, count in seen.most_common(12))
        raise ValueError(
            f'none of the {len(dataset)} images matches {" and ".join(asked)}; their conditions are: '
            f'{there or "none"}.'
        )
    return found


def conditions_of(info: dict) -> list[str]:
    """Condition and tag values of an image.

    Args:
        info: What ``get_data_info`` gives; other datasets than those of parking slots have none.

    Returns:
        Each value once, the condition first.
    """
    record = info.get('parking', {})
    condition = record.get('condition')
    values = [*([condition] if condition else []), *map(str, record.get('tags', {}).values())]
    return list(dict.fromkeys(values))


def _labels(info: dict) -> Iterable[int]:
    return (instance['bbox_label'] for instance in info.get('instances', ()))
