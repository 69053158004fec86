"""Synchronised batch normalisation where there is no GPU, which torch's and mmcv's layers ask for."""

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm


class AllReduceBatchNorm(_BatchNorm):
    """``nn.SyncBatchNorm`` of plain tensor operations and one ``all_reduce``: for any device and backend.

    Mean and variance are those of the whole batch over all processes, however many images each has;
    gradients flow back through them. It is no ``nn.SyncBatchNorm``, which DDP refuses on a CPU, but has
    the same parameters and buffers.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise.

        Args:
            x: Shape ``(N, C, ...)``.

        Returns:
            The same shape.
        """
        if not self._counts_all():
            return super().forward(x)
        mean, variance, count = _statistics(x)
        if self.training and self.track_running_stats:
            self._track(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        scale = (variance + self.eps).rsqrt()
        scale, bias = (scale * self.weight, self.bias) if self.affine else (scale, 0 * scale)
        mean, scale, bias = (v.to(x).view(1, -1, *[1] * (x.dim() - 2)) for v in (mean, scale, bias))
        return torch.addcmul(bias, x - mean, scale)  # centred first: else gradients lose digits

    def _counts_all(self) -> bool:
        uses_batch = self.training or self.running_mean is None
        return uses_batch and distributed.get_world_size() > 1

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of dimensions will do."""

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked += 1
        momentum = self.momentum
        if momentum is None:  # a plain average over all batches
            momentum = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean), momentum)
        self.running_var.lerp_(variance.to(self.running_var), momentum)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance per channel and the number of values, over all processes."""
    dims = [0, *range(2, x.dim())]
    kind = torch.promote_types(x.dtype, torch.float32)
    variance, mean = torch.var_mean(x.to(kind), dims, correction=0)
    # In float64 the squares below lose nothing that matters of the variance, whatever the mean.
    variance, mean = variance.double(), mean.double()
    count = mean.new_tensor([x.numel() // x.shape[1]])
    sums = torch.cat([count, mean * count, (variance + mean.square()) * count])
    count, total, squares = all_reduce(sums).split([1, x.shape[1], x.shape[1]])
    mean = total / count
    variance = (squares / count - mean.square()).clamp(min=0)
    return mean.to(kind), variance.to(kind), count.detach()


def use_all_reduce(module: nn.Module) -> nn.Module:
    """Replace all layers of torch's and mmcv's ``SyncBatchNorm`` inside a module.

    Args:
        module: Changed in place, save where it is such a layer itself.

    Returns:
        The module, with the same parameters and buffers.
    """
    for name, child in module.named_children():
        module.add_module(name, use_all_reduce(child))
    if type(module).__name__ != 'SyncBatchNorm':  # by name: mmcv's does not import without its ops
        return module
    layer = AllReduceBatchNorm(
        module.num_features,
        module.eps,
        module.momentum,
        module.affine,
        module.track_running_stats,
    )
    layer._parameters, layer._buffers = module._parameters, module._buffers
    return layer.train(module.training)
