"""Batch normalisation over more than one mini-batch: what its variants share."""

import torch
from torch import Tensor, nn


class PooledBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose training statistics a subclass pools over several mini-batches.

    Parameters, buffers and evaluation are those of ``BN``, so that checkpoints go both ways.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise.

        Args:
            input: Shape ``(N, C, H, W)``.

        Returns:
            The same shape and type.
        """
        if not self.training:
            return super().forward(input)
        self._check_input_dim(input)
        # half precision has neither the range nor the digits for sums over a mini-batch
        exact = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        variance, mean = torch.var_mean(exact, (0, 2, 3), unbiased=False)
        self._track(mean.detach(), variance.detach(), input.numel() // input.shape[1])
        mean, variance = self.pooled(input, mean, variance)
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = self.weight * scale
        output = (exact - mean[:, None, None]) * scale[:, None, None]
        if self.affine:
            output = output + self.bias[:, None, None]
        return output.to(input.dtype)

    def pooled(self, input: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Pool the statistics of this mini-batch with those of earlier ones.

        Args:
            input: The mini-batch ``(N, C, H, W)``.
            mean: Its mean ``(C,)``.
            variance: Its biased variance ``(C,)``.

        Returns:
            Mean and biased variance to normalise with, each ``(C,)``.
        """
        raise NotImplementedError

    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running statistics as ``BN`` does, with this mini-batch alone."""
        if not self.track_running_stats:
            return
        self.num_batches_tracked.add_(1)
        rate = 1 / self.num_batches_tracked.float() if self.momentum is None else self.momentum
        unbiased = variance * (count / max(count - 1, 1))
        self.running_mean += rate * (mean.to(self.running_mean) - self.running_mean)
        self.running_var += rate * (unbiased.to(self.running_var) - self.running_var)
