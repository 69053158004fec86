"""Matching of predictions with truths: one to one, and as the published evaluators do it.

The pairs that are given are those that may match; no other does.
"""

import numpy as np

from mmdet_ext.evaluation.functional.pairs import Pairs


def match_greedy(scores: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Let each prediction, best score first, take the cheapest truth that is still free.

    Predictions of equal score are served in the order of their lowest cost. A threshold on the
    scores may be applied afterwards: predictions below it take nothing from those above.

    Args:
        scores: Shape ``(P,)``.
        pairs: Predictions near truths.

    Returns:
        The matched truth of each prediction, -1 for none, shape ``(P,)``.
    """
    rows, columns, costs = pairs.rows, pairs.columns, pairs.costs
    lowest = np.full(len(scores), np.inf)
    np.minimum.at(lowest, rows, costs)
    order = np.lexsort((columns, costs, rows, lowest[rows], -scores[rows]))
    matched, taken = [-1] * len(scores), set()
    for i, j in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if matched[i] < 0 and j not in taken:
            matched[i] = j
            taken.add(j)
    return np.array(matched, dtype=int)


def match_shared(scores: np.ndarray, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Let each truth take the best-scored prediction near it, even one that others have taken.

    This is how DMPR-PS matches (Huang et al., DMPR-PS: A Novel Approach for Parking-Slot Detection
    Using Directional Marking-Point Regression, 2019). Of equal scores the first prediction is
    taken; one with a score of 0 never.

    Args:
        scores: Shape ``(P,)``.
        pairs: Predictions near truths.

    Returns:
        Prediction and truth, each ``(R,)``: one row for each truth that is found, in which a
        prediction may come again, and one with truth -1 for each prediction that no truth took.
    """
    pairs = pairs.select(scores[pairs.rows] > 0)
    order = np.lexsort((pairs.rows, -scores[pairs.rows]))
    truths, first = np.unique(pairs.columns[order], return_index=True)
    best = pairs.rows[order][first]
    unmatched = np.setdiff1d(np.arange(len(scores)), best)
    return np.append(best, unmatched), np.append(truths, np.full(len(unmatched), -1))


def match_first_choice(scores: np.ndarray, pairs: Pairs, limit: float) -> np.ndarray:
    """Let each prediction, best score first, take its cheapest truth; no other if that is taken.

    This is how PASCAL VOC matches (Everingham et al., The PASCAL Visual Object Classes Challenge,
    2010). Of equal scores the first prediction is served first.

    Args:
        scores: Shape ``(P,)``.
        pairs: Predictions with all truths that may be their cheapest.
        limit: Matches cost less.

    Returns:
        The matched truth of each prediction, -1 for none, shape ``(P,)``.
    """
    order = np.lexsort((pairs.columns, pairs.costs))
    choice = order[np.unique(pairs.rows[order], return_index=True)[1]]
    choice = choice[pairs.costs[choice] < limit]
    rows, columns = pairs.rows[choice], pairs.columns[choice]
    order = np.lexsort((rows, -scores[rows]))
    served = order[np.unique(columns[order], return_index=True)[1]]
    matched = np.full(len(scores), -1)
    matched[rows[served]] = columns[served]
    return matched
