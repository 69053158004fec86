"""Which images to train on when some classes or conditions are far more frequent than others."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Sequence

import numpy as np


def under_sampled_indices(
    labels: Sequence[Collection[Hashable]],
    cap: int | None = None,
    *,
    subset: int = 0,
    seed: int = 0,
) -> np.ndarray:
    """Choose images so that no label has many more than ``cap``.

    Labels take their images in turn, the rarest first and each until it has ``cap``, those chosen
    before counted in. A label exceeds ``cap`` only by images that a rarer one needs.

    Args:
        labels: Labels (classes, conditions) of each image; images without any count as one of their own.
        cap: Images per label; None: as many as the rarest has.
        subset: Another choice of the same seed: a frequent label's images are all used in turn before
            any is used again, so that k subsets together miss as little as possible.
        seed: Same seed and subset, same images.

    Returns:
        Indices of the chosen images, sorted.

    Raises:
        ValueError: ``cap`` is below 1.
    """
    if cap is not None and cap < 1:
        raise ValueError(f'`cap` is {cap}; expected at least one image per class or condition.')
    holders = defaultdict(list)
    for index, names in enumerate(labels):
        for name in set(names) or {None}:
            holders[name].append(index)
    cap = cap or min(map(len, holders.values()), default=0)
    rng = np.random.default_rng(seed)
    kept: set[int] = set()
    for name in sorted(holders, key=lambda name: (len(holders[name]), str(name))):
        missing = cap - len(kept.intersection(holders[name]))
        shuffled = np.roll(rng.permutation(holders[name]), -subset * cap).tolist()
        kept.update([index for index in shuffled if index not in kept][: max(missing, 0)])
    return np.array(sorted(kept), np.int64)


def tomek_links(embeddings: np.ndarray, labels: Sequence[Hashable]) -> np.ndarray:
    """Find images that are hard to tell from one of a rarer label: candidates for removal.

    Two images of different labels that are each other's nearest are a link (Tomek, Two Modifications
    of CNN, 1976); of each link that which is not of the rarest label may go.

    Args:
        embeddings: Features of the images, ``(N, D)``.
        labels: One label of each image, ``(N,)``.

    Returns:
        Indices of removable images, sorted.

    Raises:
        ValueError: The shapes do not fit, or there are fewer than two labels.
        ImportError: imbalanced-learn is missing.
    """
    try:
        from imblearn.under_sampling import TomekLinks  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise ImportError(
            "Tomek links need imbalanced-learn: pip install 'mmdet_ext[data]'."
        ) from error
    if np.ndim(embeddings) != 2 or len(embeddings) != len(labels):
        raise ValueError(
            f'The embeddings have shape {np.shape(embeddings)}; expected one row for each of the '
            f'{len(labels)} images.'
        )
    names, codes = np.unique([str(label) for label in labels], return_inverse=True)
    if len(names) < 2:
        raise ValueError(f'All images are labelled {names.tolist()}; Tomek links need two labels.')
    sampler = TomekLinks()
    sampler.fit_resample(embeddings, codes)
    return np.setdiff1d(np.arange(len(codes)), sampler.sample_indices_)
