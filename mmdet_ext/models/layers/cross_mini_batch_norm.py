"""Batch normalisation over the mini-batches between two optimiser steps."""

import torch
from mmdet.registry import MODELS
from torch import Tensor

from .pooled_batch_norm import PooledBatchNorm


@MODELS.register_module(name='CmBN')
class CrossMiniBatchNorm(PooledBatchNorm):
    """Cross mini-batch normalisation of YOLOv4: for gradient accumulation.

    Normalises with the statistics of all mini-batches since the last optimiser step, this one
    included: the last mini-batch of ``optim_wrapper=dict(accumulative_counts=N)`` sees the statistics
    of the whole batch. A step is noticed by the change of the layer's own scale and shift, so nothing
    has to be told how many mini-batches there are, and no weight differs between those pooled. Without
    accumulation it is ``BN``; so are evaluation and checkpoints. A layer that several feature levels
    share pools over the levels, too; one that is recomputed (``with_cp``) counts itself twice.

    Bochkovskiy, Wang and Liao: YOLOv4: Optimal Speed and Accuracy of Object Detection, 2020,
    arXiv:2004.10934.

    Args:
        num_features: Channels of the input.
        eps: Added to the variance.
        momentum: Share of a new mini-batch in the running statistics.
        track_running_stats: Keep running statistics for evaluation.

    Raises:
        ValueError: Scale and shift are frozen in training.
    """

    _abbr_ = 'bn'

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, True, track_running_stats)
        # not persistent: checkpoints stay those of BN
        self.register_buffer('_past_count', torch.zeros((), dtype=torch.long), persistent=False)
        self.register_buffer('_past_mean', torch.zeros(num_features), persistent=False)
        self.register_buffer('_past_variance', torch.zeros(num_features), persistent=False)
        self.register_buffer('_past_affine', torch.zeros(2, num_features), persistent=False)

    def pooled(self, input: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Pool with the mini-batches before; see :meth:`PooledBatchNorm.pooled`."""
        if not (self.weight.requires_grad or self.bias.requires_grad):
            raise ValueError(
                'CmBN notices an optimiser step by the change of its scale and shift, which are frozen '
                'here: remove requires_grad=False from its norm_cfg, or use BN.'
            )
        affine = torch.stack([self.weight, self.bias]).detach().to(self._past_affine)
        same_batch = (affine == self._past_affine).all()
        # no branch on the device's values: nothing waits for a GPU, and torch.compile sees one graph
        past_count = torch.where(same_batch, self._past_count, 0)
        past_mean = torch.where(same_batch, self._past_mean, mean.detach())
        past_variance = torch.where(same_batch, self._past_variance, variance.detach())
        count = past_count + input.numel() // input.shape[1]
        past = past_count.to(mean.dtype) / count
        pooled_mean = (1 - past) * mean + past * past_mean
        pooled_variance = (1 - past) * (variance + (mean - pooled_mean).square())
        pooled_variance = pooled_variance + past * (
            past_variance + (past_mean - pooled_mean).square()
        )
        self._past_count.copy_(count)
        self._past_mean.copy_(pooled_mean.detach())
        self._past_variance.copy_(pooled_variance.detach())
        self._past_affine.copy_(affine)
        return pooled_mean, pooled_variance
