"""Splits of data sets that never leak: neighbouring frames and whole sites stay on one side.

The first functions split the records that readers make, the others (:func:`split_indices`,
:func:`fold_indices`, :func:`nested_subsets`) the indices of any images.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from mmdet_ext.datasets.formats.psdet import frame_number

Record = TypeVar('Record')
"""A record of any reader: it has ``file_name`` and ``group``."""


def split_by_blocks(
    records: Iterable[Record],
    val_fraction: float = 0.2,
    gap: int = 25,
    gap_fraction: float = 0.02,
) -> tuple[list[Record], list[Record], list[Record]]:
    """Split each sequence into a first block for training and a last one for validation.

    Consecutive video frames are near-duplicates, so some frames between the blocks belong to
    neither.

    Args:
        records: Images whose ``group`` names the sequence; sorted here by the last number in
            ``file_name``.
        val_fraction: Share of each sequence's frames that is validated on, in (0, 1).
        gap: Frames left out before the validation block, at least.
        gap_fraction: Share of the sequence's frames left out, if that is more.

    Returns:
        Images for training, for validation, and those of the gaps.

    Raises:
        ValueError: ``val_fraction`` is not in (0, 1) or an image has no ``group``.
    """
    _check_fraction(val_fraction)
    train, val, dropped = [], [], []
    for sequence in _sequences(records).values():
        sequence.sort(key=lambda record: frame_number(record.file_name))
        n = len(sequence)
        first_val = n - round(n * val_fraction)
        first_gap = max(first_val - max(gap, math.ceil(n * gap_fraction)), 0)
        train += sequence[:first_gap]
        dropped += sequence[first_gap:first_val]
        val += sequence[first_val:]
    return train, val, dropped


def split_by_sequences(
    records: Iterable[Record], holdout: Sequence[str]
) -> tuple[list[Record], list[Record]]:
    """Hold out whole sequences for validation.

    Args:
        records: Images whose ``group`` names the sequence.
        holdout: Sequences to validate on; all others are for training.

    Returns:
        Images for training and for validation.

    Raises:
        ValueError: A name in ``holdout`` is no sequence or an image has no ``group``.
    """
    sequences = _sequences(records)
    unknown = [name for name in holdout if name not in sequences]
    if unknown:
        raise ValueError(
            f'No sequence is called {unknown}; expected some of {sorted(sequences)} in `holdout`.'
        )
    train = [r for name, rs in sequences.items() if name not in holdout for r in rs]
    return train, [r for name in holdout for r in sequences[name]]


def _sequences(records: Iterable[Record]) -> dict[str, list[Record]]:
    sequences = defaultdict(list)
    for record in records:
        if record.group is None:
            raise ValueError(
                f'{record.file_name} has no `group`; name its sequence to split without leaks.'
            )
        sequences[record.group].append(record)
    return sequences


def split_at_random(
    records: Sequence[Record], val_fraction: float = 0.2, seed: int = 0
) -> tuple[list[Record], list[Record]]:
    """Split images that have nothing to do with each other.

    Args:
        records: Images.
        val_fraction: Share of them for validation, in (0, 1).
        seed: Same seed, same split.

    Returns:
        Images for training and for validation, each in the order of ``records``.

    Raises:
        ValueError: ``val_fraction`` is not in (0, 1).
    """
    _check_fraction(val_fraction)
    order = np.random.default_rng(seed).permutation(len(records))
    val = set(order[: round(len(records) * val_fraction)].tolist())
    parts = [], []
    for i, record in enumerate(records):
        parts[i in val].append(record)
    return parts


def _check_fraction(val_fraction: float) -> None:
    if not 0 < val_fraction < 1:
        raise ValueError(f'val_fraction is {val_fraction}; expected a share between 0 and 1.')


def parse_ratios(text: str) -> tuple[float, ...]:
    """Read ratios such as ``6:2:2`` or ``98:1:1``.

    Raises:
        ValueError: These are not two or more positive numbers.
    """
    try:
        ratios = tuple(float(number) for number in text.split(':'))
    except ValueError:
        ratios = ()
    if len(ratios) < 2 or not all(0 < ratio < math.inf for ratio in ratios):
        raise ValueError(f'The ratios are {text!r}; expected positive numbers such as 6:2:2.')
    return ratios


def split_indices(
    count: int,
    ratios: Sequence[float],
    *,
    labels: np.ndarray | None = None,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> list[np.ndarray]:
    """Split images into parts of given sizes.

    With ``labels`` every label is shared out in the same ratios, by the iterative stratification of
    Sechidis et al., On the Stratification of Multi-Label Data, 2011. With ``groups`` each group goes
    to one part, the largest first and each to where it brings the sizes of the parts, and with
    ``labels`` their labels, closest to the ratios; the seed then decides among equals only. Five labels
    in groups of uneven size and content were off by up to 1 point of 100 with 200 groups (4 for a label
    on 20 of 2000 images), by up to 9 with 45 groups; :func:`label_shares` tells for a split at hand.

    Args:
        count: Number of images, N.
        ratios: Sizes of the parts relative to each other.
        labels: Which labels an image has, ``(N, L)`` bool; None: split at random.
        groups: Sequence or site of each image, ``(N,)``.
        seed: Same seed, same split.

    Returns:
        Indices of each part, sorted.

    Raises:
        ValueError: A part would be empty, or ``labels`` or ``groups`` are not for N images.
        ImportError: ``labels`` are given without groups and iterative-stratification is missing.
    """
    labels, codes = _checked(count, labels, groups)
    shares = np.asarray(ratios, float) / np.sum(ratios)
    part_of = _assign(np.arange(count), shares, labels, codes, np.random.default_rng(seed))
    parts = [np.flatnonzero(part_of == part) for part in range(len(shares))]
    empty = [part for part, indices in enumerate(parts) if not len(indices)]
    if empty:
        units = f'{count} images' if codes is None else f'{len(np.unique(codes))} groups of images'
        raise ValueError(
            f'{units} cannot be split {":".join(f"{ratio:g}" for ratio in ratios)}: part {empty[0]} '
            'would be empty; choose fewer or more even parts.'
        )
    return parts


def fold_indices(
    count: int,
    folds: int,
    *,
    labels: np.ndarray | None = None,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split images for K-fold cross-validation: each is validated on in one fold, trained on in the others.

    Args:
        count: Number of images.
        folds: Number of folds, at least 2.
        labels: See :func:`split_indices`, as for ``groups`` and ``seed``.
        groups: Sequence or site of each image.
        seed: Same seed, same folds.

    Returns:
        Indices for training and for validation of each fold, sorted.

    Raises:
        ValueError: ``folds`` is below 2 or more than there are images or groups.
        ImportError: See :func:`split_indices`.
    """
    if folds < 2:
        raise ValueError(f'The number of folds is {folds}; expected 2 or more.')
    parts = split_indices(count, [1] * folds, labels=labels, groups=groups, seed=seed)
    return [(np.setdiff1d(np.arange(count), part), part) for part in parts]


def nested_subsets(
    count: int,
    fractions: Sequence[float],
    *,
    labels: np.ndarray | None = None,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> list[np.ndarray]:
    """Choose subsets for a learning curve, each a subset of every larger one.

    The images are put in an order whose every beginning is a fair sample: halved as by
    :func:`split_indices`, and each half again. So the subset of a fraction does not depend on which
    others are asked for.

    Args:
        count: Number of images.
        fractions: Shares of the images, in (0, 1]; with groups the nearest that whole ones give, of
            which the smaller come first.
        labels: See :func:`split_indices`, as for ``groups`` and ``seed``.
        groups: Sequence or site of each image.
        seed: Same seed, same subsets.

    Returns:
        Indices of each fraction's subset, at least one image, sorted.

    Raises:
        ValueError: A fraction is not in (0, 1] or there are no images.
        ImportError: See :func:`split_indices`.
    """
    wrong = [fraction for fraction in fractions if not 0 < fraction <= 1]
    if wrong:
        raise ValueError(
            f'The fraction of a subset is {wrong[0]}; expected more than 0 and up to 1.'
        )
    labels, codes = _checked(count, labels, groups)
    order = np.random.default_rng(seed).permutation(count)
    sizes = [max(round(fraction * count), 1) for fraction in fractions]
    return [np.sort(_beginning(order, size, labels, codes, (seed,))) for size in sizes]


def label_shares(parts: Sequence[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Share of each label's images that a part has, to compare with the ratios asked for.

    Args:
        parts: Indices of each of P parts.
        labels: Which labels an image has, ``(N, L)`` bool.

    Returns:
        Shares ``(P, L)`` of 1; NaN for a label that no image has.
    """
    counts = np.array([labels[part].sum(0) for part in parts], float)
    totals = labels.sum(0)
    return np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)


def _checked(
    count: int, labels: np.ndarray | None, groups: Sequence[Hashable] | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    if not count:
        raise ValueError('There are no images to split.')
    for name, values in (('labels', labels), ('groups', groups)):
        if values is not None and len(values) != count:
            raise ValueError(
                f'`{name}` has {len(values)} entries; expected one for {count} images.'
            )
    if groups is None:
        return labels, None
    numbers = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    return labels, np.array([numbers[name] for name in groups], np.int64)


def _assign(
    indices: np.ndarray,
    shares: np.ndarray,
    labels: np.ndarray | None,
    groups: np.ndarray | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """Part of each of ``indices``."""
    if groups is not None:
        return _assign_groups(indices, shares, labels, groups, rng)
    order = rng.permutation(len(indices))
    part_of = np.empty(len(indices), np.int64)
    if labels is None:
        ends = np.rint(np.cumsum(shares) * len(indices)).astype(int)
        part_of[order] = np.searchsorted(ends, np.arange(len(indices)), side='right')
    else:
        part_of[order] = _stratify(labels[indices[order]].astype(bool), shares, rng)
    return part_of


def _stratify(labels: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    try:
        # What MultilabelStratifiedKFold calls, which takes equal shares only.
        from iterstrat.ml_stratifiers import IterativeStratification  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise ImportError(
            "Stratified splits need iterative-stratification: pip install 'mmdet_ext[data]'."
        ) from error
    return IterativeStratification(labels, shares, rng)


def _assign_groups(
    indices: np.ndarray,
    shares: np.ndarray,
    labels: np.ndarray | None,
    groups: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    _, group_of = np.unique(groups[indices], return_inverse=True)
    sizes = np.ones((len(indices), 1))
    features = sizes if labels is None else np.hstack((sizes, labels[indices]))
    content = np.zeros((group_of.max() + 1, features.shape[1]))
    np.add.at(content, group_of, features)
    content /= content.sum(0).clip(1)
    content[:, 0] *= max(content.shape[1] - 1, 1) ** 0.5  # sizes weigh as much as all labels
    order = rng.permutation(len(content))
    order = order[np.argsort(-content[order].max(1), kind='stable')]
    room = np.outer(shares, content.sum(0))
    part_of = np.full(len(content), -1)
    for taken, group in enumerate(order):
        # What the group adds to the chi-squared distance between what parts have and should have.
        cost = ((content[group] - 2 * room) * content[group]).sum(1) / shares
        empty = ~np.isin(np.arange(len(shares)), part_of)
        if empty.sum() >= len(order) - taken:
            cost[~empty] = np.inf
        part_of[group] = cost.argmin()
        room[part_of[group]] -= content[group]
    return part_of[group_of]


def _beginning(
    indices: np.ndarray,
    size: int,
    labels: np.ndarray | None,
    groups: np.ndarray | None,
    path: tuple[int, ...],
) -> np.ndarray:
    """First ``size`` of ``indices`` in the order that halving again and again puts them in.

    ``path`` is the seed and the halves taken; the first group of all is never left out.
    """
    if not 0 < size < len(indices) or (labels is None and groups is None):
        return indices[:size]
    if groups is not None and len(np.unique(groups[indices])) == 1:
        nearer_whole = 2 * size >= len(indices) or not any(path[1:])
        return indices if nearer_whole else indices[:0]
    rng = np.random.default_rng(path)
    first = _assign(indices, np.array([0.5, 0.5]), labels, groups, rng) == 0
    if first.all() or not first.any():
        return indices[:size]
    head, tail = indices[first], indices[~first]
    if groups is not None and len(np.unique(groups[head])) < len(np.unique(groups[tail])):
        head, tail = tail, head  # small groups first, which small fractions need
    return np.concatenate(
        (
            _beginning(head, size, labels, groups, (*path, 0)),
            _beginning(tail, max(size - len(head), 0), labels, groups, (*path, 1)),
        )
    )
