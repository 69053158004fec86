"""AdamW in one kernel."""

import torch
from mmdet.registry import OPTIMIZERS


@OPTIMIZERS.register_module()
class FusedAdamW(torch.optim.AdamW):
    """AdamW that updates all parameters in one kernel where torch has one for their device.

    The same values as :class:`torch.optim.AdamW` (Loshchilov and Hutter, Decoupled Weight Decay
    Regularization, 2019), without hundreds of small operations per step. torch before 2.4 has no such
    kernel for the CPU; the plain implementation then does the work.

    Args:
        params: As for :class:`torch.optim.AdamW`.
        kwargs: As for :class:`torch.optim.AdamW`, without ``fused``.
    """

    def __init__(self, params, **kwargs) -> None:
        params = list(params)
        try:
            super().__init__(_copied(params), fused=True, **kwargs)
        except RuntimeError:  # no fused kernel for these parameters
            super().__init__(params, **kwargs)


def _copied(groups: list) -> list:
    """Groups that torch may write its defaults into without our knowing."""
    return [dict(group) if isinstance(group, dict) else group for group in groups]
