"""The model wrapper of distributed runs on machines without a GPU."""

from typing import Any

from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS  # the runner looks for wrappers nowhere else
from torch import nn

from mmdet_ext.utils.dist_batch_norm import use_all_reduce


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """mmengine's ``MMDistributedDataParallel`` for a model on the CPU.

    Synchronised batch norms, by ``sync_bn='torch'`` in the config or of the model's own, become layers
    that compute there.

    Args:
        module: The model.
        device_ids: Taken, since mmengine's strategies pass it, and not used.
        broadcast_buffers: As for ``DistributedDataParallel``; off by default, as in mmengine's runner.
        kwargs: As for ``MMDistributedDataParallel``.
    """

    def __init__(
        self,
        module: nn.Module,
        device_ids: list[int] | None = None,
        broadcast_buffers: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(use_all_reduce(module), broadcast_buffers=broadcast_buffers, **kwargs)
