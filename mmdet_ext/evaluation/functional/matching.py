"""One-to-one matching of predictions with truths."""

import numpy as np


def match_greedy(scores: np.ndarray, costs: np.ndarray, limit: float) -> np.ndarray:
    """Let each prediction, best score first, take the cheapest truth that is still free.

    Predictions of equal score are served in the order of their lowest cost, so that the result
    does not depend on the order of the rows. A threshold on the scores may be applied afterwards:
    predictions below it take nothing from those above.

    Args:
        scores: Shape ``(P,)``.
        costs: Cost of each prediction with each truth, shape ``(P, T)``; infinite or NaN forbids.
        limit: Highest cost of a match.

    Returns:
        The matched truth of each prediction, -1 for none, shape ``(P,)``.
    """
    free = np.where(costs <= limit, costs, np.inf)
    lowest = free.min(axis=1, initial=np.inf)
    matched = np.full(len(scores), -1)
    order = np.lexsort((lowest, -scores))
    for i in order[np.isfinite(lowest[order])]:
        j = free[i].argmin()
        if np.isfinite(free[i, j]):
            matched[i] = j
            free[:, j] = np.inf
    return matched
