"""Pairs of a prediction and a truth of the same image, for many images at once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

_AT_ONCE = 500_000  # bounds memory to some ten megabytes


@dataclass
class Pairs:
    """Some pairs of predictions and truths, in no order.

    Attributes:
        rows: Row of the prediction, ``(K,)``.
        columns: Row of the truth, ``(K,)``.
        costs: What is low for a good match, ``(K,)``.
    """

    rows: np.ndarray
    columns: np.ndarray
    costs: np.ndarray

    def select(self, kept: np.ndarray) -> 'Pairs':
        """Keep the pairs of a mask ``(K,)``."""
        return Pairs(self.rows[kept], self.columns[kept], self.costs[kept])


def pairs_within(
    images: np.ndarray,
    true_images: np.ndarray,
    cost: Callable[[np.ndarray, np.ndarray], np.ndarray],
    limit: float,
) -> Pairs:
    """Find the pairs of the same image that cost little.

    Args:
        images: Image of each prediction, ``(P,)``, ascending.
        true_images: Image of each truth, ``(T,)``, ascending.
        cost: Tells the costs ``(K,)`` of rows and columns, each ``(K,)``; NaN forbids.
        limit: Highest cost of a pair.

    Returns:
        The pairs.
    """
    found = [Pairs(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
    for rows, columns in _all_pairs(images, true_images):
        pairs = Pairs(rows, columns, cost(rows, columns))
        found.append(pairs.select(pairs.costs <= limit))
    return Pairs(
        *(np.concatenate([getattr(p, key) for p in found]) for key in ('rows', 'columns', 'costs'))
    )


def _all_pairs(
    images: np.ndarray, true_images: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every prediction with every truth of its image, in chunks."""
    first = np.searchsorted(true_images, images, 'left')
    counts = np.searchsorted(true_images, images, 'right') - first
    chunk = np.cumsum(counts) // _AT_ONCE
    for rows in np.split(np.arange(len(images)), np.flatnonzero(np.diff(chunk)) + 1):
        repeats = counts[rows]
        within = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        yield np.repeat(rows, repeats), np.repeat(first[rows], repeats) + within
