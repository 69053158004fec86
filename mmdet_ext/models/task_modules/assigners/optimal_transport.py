"""Entropic optimal transport."""

import torch
from torch import Tensor


def sinkhorn_plan(
    cost: Tensor, supply: Tensor, demand: Tensor, epsilon: float = 0.1, iterations: int = 50
) -> Tensor:
    """Transport goods at the least cost, by the Sinkhorn-Knopp iteration in the log domain.

    Cuturi, Sinkhorn Distances: Lightspeed Computation of Optimal Transport, 2013. The logarithms
    never leave the range of float32, however small ``epsilon`` is against the costs.

    Args:
        cost: Of a unit from each supplier to each demander, ``(M, N)``, finite.
        supply: Units that each supplier has, ``(M,)``, not negative.
        demand: Units that each demander wants, ``(N,)``, positive; as many as are supplied.
        epsilon: Weight of the entropy, in the unit of the costs; towards 0 the plan becomes that of
            the linear programme, and takes more iterations.
        iterations: How often the marginals are fitted in turn, the demand last.

    Returns:
        Units from each supplier to each demander, ``(M, N)``, at least float32. Columns sum to the
        demand exactly, rows to the supply as far as the iteration has converged.
    """
    dtype = torch.promote_types(cost.dtype, torch.float32)
    kernel = -cost.to(dtype) / epsilon
    log_supply, log_demand = supply.to(dtype).log(), demand.to(dtype).log()
    column = torch.zeros_like(log_demand)
    for _ in range(iterations):
        row = log_supply - torch.logsumexp(kernel + column, 1)
        column = log_demand - torch.logsumexp(kernel + row[:, None], 0)
    return torch.exp(kernel + row[:, None] + column)
