"""Feature maps in few dimensions."""

import torch
from torch import Tensor


def principal_components(features: Tensor, count: int) -> Tensor:
    """Project feature vectors onto their directions of largest variance.

    Args:
        features: Shape ``(C, h, w)``.
        count: Number of components.

    Returns:
        Shape ``(count, h, w)``, in descending order of variance, 0 beyond the number of channels; the
        value that is furthest from 0 is positive, where the decomposition leaves the sign open.
    """
    rows = features.detach().flatten(1).T.double()
    rows = rows - rows.mean(0)
    # Not by a decomposition of all rows: grad-cam's needs 2 GB for a map of 100 x 168 cells.
    _, directions = torch.linalg.eigh(rows.T @ rows)
    found = rows @ directions.flip(1)[:, :count]
    furthest = found.gather(0, found.abs().argmax(0, keepdim=True))
    found = found * torch.where(furthest < 0, -1.0, 1.0)
    components = found.new_zeros(count, len(rows))
    components[: found.shape[1]] = found.T
    return components.unflatten(1, features.shape[1:]).float()
