"""Split COCO files of any kind, parking-slot COCO included, into COCO files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from mmdet_ext.datasets.coco_file import CocoFile, file_name
from mmdet_ext.datasets.resampling import tomek_links, under_sampled_indices
from mmdet_ext.datasets.splits import (
    fold_indices,
    label_shares,
    nested_subsets,
    split_indices,
)
from mmdet_ext.utils.files import write_whole

PART_NAMES = {2: ('train', 'val'), 3: ('train', 'val', 'test')}


@dataclass
class SplitReport:
    """What a split gave.

    Attributes:
        table: Images of each part, all and by label, with their share of all images.
        warnings: Sentences on labels that a part lacks and on leaks.
    """

    table: Table
    warnings: list[str] = field(default_factory=list)


def split_coco(
    path: str | Path,
    out: str | Path,
    ratios: Sequence[float],
    *,
    names: Sequence[str] | None = None,
    stratify: Sequence[str] = (),
    group: str | None = None,
    seed: int = 0,
) -> SplitReport:
    """Write the parts of a COCO file: ``train.json``, ``val.json`` and, of three, ``test.json``.

    Args:
        path: COCO file.
        out: Folder to write to. File names of images stay as they are, relative to the config's image
            folder.
        ratios: Sizes of the parts relative to each other.
        names: Names of the parts; by default as above, of more than three ``part_0`` and so on.
        stratify: Share out each of these evenly: ``class``, ``condition``, another key or tag of images.
        group: Never separate images of one group; see :meth:`CocoFile.groups`.
        seed: Same seed, same split; see :func:`split_indices`.

    Returns:
        What each part has.

    Raises:
        FileNotFoundError: ``path`` does not exist.
        ValueError: See :class:`CocoFile` and :func:`split_indices`; or the names do not fit the ratios.
    """
    names = names or PART_NAMES.get(len(ratios)) or [f'part_{i}' for i in range(len(ratios))]
    if len(set(names)) != len(ratios):
        raise ValueError(f'{len(ratios)} parts are asked for, but named {list(names)}.')
    coco, options = _prepare(path, stratify, group, seed)
    parts = dict(zip(names, split_indices(len(coco.images), ratios, **options), strict=True))
    for name, rows in parts.items():
        coco.write(Path(out, f'{name}.json'), rows)
    report = _report(coco, parts, stratify)
    report.warnings += _leaks(coco, group)
    return report


def fold_coco(
    path: str | Path,
    out: str | Path,
    folds: int,
    *,
    stratify: Sequence[str] = (),
    group: str | None = None,
    seed: int = 0,
) -> SplitReport:
    """Write ``fold_0/train.json``, ``fold_0/val.json`` and so on for K-fold cross-validation.

    Args:
        path: See :func:`split_coco`, as for all others.
        out: Folder to write to.
        folds: Number of folds.
        stratify: What to share out evenly.
        group: What never to separate.
        seed: Same seed, same folds.

    Returns:
        What is validated on in each fold.

    Raises:
        FileNotFoundError: ``path`` does not exist.
        ValueError: See :class:`CocoFile` and :func:`fold_indices`.
    """
    coco, options = _prepare(path, stratify, group, seed)
    pairs = fold_indices(len(coco.images), folds, **options)
    for number, (train, val) in enumerate(pairs):
        coco.write(Path(out, f'fold_{number}', 'train.json'), train)
        coco.write(Path(out, f'fold_{number}', 'val.json'), val)
    parts = {f'fold_{number} val': val for number, (_, val) in enumerate(pairs)}
    report = _report(coco, parts, stratify)
    report.warnings += _leaks(coco, group)
    return report


def subset_coco(
    path: str | Path,
    out: str | Path,
    fractions: Sequence[float],
    *,
    stratify: Sequence[str] = (),
    group: str | None = None,
    seed: int = 0,
) -> SplitReport:
    """Write nested subsets for a learning curve: ``subset_0.01.json``, ``subset_0.05.json`` and so on.

    Args:
        path: See :func:`split_coco`, as for all others.
        out: Folder to write to.
        fractions: Shares of the images, in (0, 1].
        stratify: What to share out evenly.
        group: What never to separate.
        seed: Same seed, same subsets.

    Returns:
        What each subset has.

    Raises:
        FileNotFoundError: ``path`` does not exist.
        ValueError: See :class:`CocoFile` and :func:`nested_subsets`.
    """
    coco, options = _prepare(path, stratify, group, seed)
    subsets = nested_subsets(len(coco.images), fractions, **options)
    parts = {f'subset_{f:g}': rows for f, rows in zip(fractions, subsets, strict=True)}
    for name, rows in parts.items():
        coco.write(Path(out, f'{name}.json'), rows)
    return _report(coco, parts, stratify)


def resample_coco(
    path: str | Path,
    out: str | Path,
    count: int,
    *,
    cap: int | None = None,
    by: Sequence[str] = ('class',),
    seed: int = 0,
) -> SplitReport:
    """Write several balanced sets, ``resample_0.json`` and so on: each trains a model of an ensemble.

    Args:
        path: COCO file.
        out: Folder to write to.
        count: Number of sets.
        cap: Images per label; None: as many as the rarest has. See :func:`under_sampled_indices`.
        by: What to balance: ``class``, ``condition`` or another key or tag of images.
        seed: Same seed, same sets.

    Returns:
        What each set has.

    Raises:
        FileNotFoundError: ``path`` does not exist.
        ValueError: See :class:`CocoFile`, or ``count`` or ``cap`` is below 1.
    """
    if count < 1:
        raise ValueError(f'The number of resampled sets is {count}; expected one or more.')
    coco = CocoFile(path)
    labels = _label_sets(coco, by)
    parts = {
        f'resample_{i}': under_sampled_indices(labels, cap, subset=i, seed=seed)
        for i in range(count)
    }
    for name, rows in parts.items():
        coco.write(Path(out, f'{name}.json'), rows)
    return _report(coco, parts, by)


def list_tomek_links(
    path: str | Path, out: str | Path, embeddings: str | Path, *, by: Sequence[str] = ('class',)
) -> SplitReport:
    """Write ``tomek_links.txt``: images too near to one of a rarer label, candidates for removal.

    An image counts as of its rarest label; see :func:`tomek_links`.

    Args:
        path: COCO file.
        out: Folder to write to.
        embeddings: ``.npy`` file with features of the images in their order, ``(N, D)``.
        by: ``class``, ``condition`` or another key or tag of images.

    Returns:
        Which labels these images have.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: See :class:`CocoFile` and :func:`tomek_links`.
        ImportError: imbalanced-learn is missing.
    """
    if not Path(embeddings).is_file():
        raise FileNotFoundError(f'The embeddings {embeddings} do not exist: correct the path.')
    coco = CocoFile(path)
    labels = _label_sets(coco, by)
    counts = Counter(name for names in labels for name in names)
    rarest = [min(names, key=lambda n: (counts[n], n), default='nothing') for names in labels]
    rows = tomek_links(np.load(embeddings), rarest)
    lines = [f'{file_name(coco.images[row])}\n' for row in rows]
    write_whole(Path(out, 'tomek_links.txt'), ''.join(lines))
    return SplitReport(_report(coco, {'removable': rows}, by).table)


def _label_sets(coco: CocoFile, by: Sequence[str]) -> list[set[str]]:
    names, matrix = coco.labels(by)
    return [{names[column] for column in np.flatnonzero(row)} for row in matrix]


def _prepare(
    path: str | Path, stratify: Sequence[str], group: str | None, seed: int
) -> tuple[CocoFile, dict[str, Any]]:
    coco = CocoFile(path)
    labels = coco.labels(stratify)[1] if stratify else None
    return coco, {
        'labels': labels,
        'groups': None if group is None else coco.groups(group),
        'seed': seed,
    }


def _report(
    coco: CocoFile, parts: Mapping[str, np.ndarray], stratify: Sequence[str]
) -> SplitReport:
    names, labels = coco.labels(list(dict.fromkeys(['class', *stratify])))
    labels = np.hstack((np.ones((len(labels), 1), bool), labels))
    shares = label_shares(list(parts.values()), labels)
    table = Table('', 'all', *parts, title=f'{coco.path}: images')
    for column in table.columns[1:]:
        column.justify = 'right'
    warnings = []
    for label, total, column, share in zip(
        ['images', *names], labels.sum(0), labels.T, shares.T, strict=True
    ):
        counts = [int(column[rows].sum()) for rows in parts.values()]
        cells = [f'{n} ({s:.1%})' if total else '0' for n, s in zip(counts, share, strict=True)]
        table.add_row(label, str(total), *cells)
        lacking = [name for name, count in zip(parts, counts, strict=True) if total and not count]
        if lacking:
            warnings.append(f'{", ".join(lacking)}: none of the {total} images with {label}.')
    return SplitReport(table, warnings)


def _leaks(coco: CocoFile, group: str | None) -> list[str]:
    if group is not None or not any('group' in image for image in coco.images):
        return []
    return ['images of one `group` may be in several parts; keep them together by `group`.']
