"""Batch normalisation over the last iterations."""

from dataclasses import dataclass

import torch
from mmdet.registry import MODELS
from torch import Tensor

from .pooled_batch_norm import PooledBatchNorm


@dataclass
class Moments:
    """Statistics of a past iteration, and how they depend on the convolution that made its input.

    Attributes:
        mean: Shape ``(C,)``.
        variance: Shape ``(C,)``.
        weight: Weight of the convolution then, ``(C, ...)``; None if it is frozen.
        mean_slope: Derivative of the mean by the weight, ``(C, ...)``.
        variance_slope: Likewise of the variance.
    """

    mean: Tensor
    variance: Tensor
    weight: Tensor | None = None
    mean_slope: Tensor | None = None
    variance_slope: Tensor | None = None

    def with_weight(self, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and variance had the weight been this one, by a first-order Taylor expansion.

        The expansion is the paper's, of the mean and of the mean square; the variance, their
        difference, is expanded here, which does not cancel in single precision.
        """
        if weight is None or self.weight is None:
            return self.mean, self.variance
        change = _exact(weight.detach()) - self.weight
        mean_change = (self.mean_slope * change).flatten(1).sum(1)
        variance_change = (self.variance_slope * change).flatten(1).sum(1) - mean_change.square()
        return self.mean + mean_change, (self.variance + variance_change).clamp(min=0)


@MODELS.register_module(name='CBN')
class CrossIterationBatchNorm(PooledBatchNorm):
    """Cross-iteration batch normalisation: for batches of a few images.

    Normalises with the statistics of the last iterations, corrected to first order for how the
    weights of the convolution before it have changed since. It finds that convolution in the
    autograd graph, and so has to follow it at once: ``norm_cfg=dict(type='CBN')`` does. Evaluation and
    checkpoints are those of ``BN``; past statistics are not saved, a resumed run collects them anew.
    Without gradients (frozen stages, recalibration) it is ``BN``. A layer that several feature levels
    share pools over the levels, too; one that is recomputed (``with_cp``) counts itself twice. The
    derivatives take two more backward passes through the weights of that convolution, which more than
    doubles the time of a training step.

    Yao, Cao, Zheng, Huang and Lin: Cross-Iteration Batch Normalization, CVPR 2021, arXiv:2002.05712.

    Args:
        num_features: Channels of the input.
        eps: Added to the variance.
        momentum: Share of a new mini-batch in the running statistics.
        affine: Learn a scale and a shift per channel.
        track_running_stats: Keep running statistics for evaluation.
        window: Iterations to pool over, this one included.
        burn_in: First iterations to train as ``BN``, as long as weights change fast; counted by
            ``num_batches_tracked``, which checkpoints hold.

    Raises:
        ValueError: ``window`` or ``burn_in`` is out of range; in training, the input does not come
            straight from a convolution, or the model is compiled.
    """

    _abbr_ = 'bn'

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        window: int = 4,
        burn_in: int = 0,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats)
        if window < 1:
            raise ValueError(f'CBN got window={window}: pool over at least 1 iteration.')
        if burn_in and not track_running_stats:
            raise ValueError(
                f'CBN got burn_in={burn_in} with track_running_stats=False, which counts no '
                'iterations: leave one of the two out.'
            )
        self.window, self.burn_in = window, burn_in
        self._past: list[Moments] = []

    def pooled(self, input: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Pool with the iterations before; see :meth:`PooledBatchNorm.pooled`."""
        if self.window == 1 or not (torch.is_grad_enabled() and input.requires_grad):
            return mean, variance
        weight = producing_weight(input)
        past = [] if self._burning_in() else [m.with_weight(weight) for m in self._past]
        count = input.numel() // input.shape[1]
        self._past = [_moments(mean, variance, weight, count), *self._past][: self.window - 1]
        means = torch.stack([mean, *(m for m, _ in past)])
        variances = torch.stack([variance, *(v for _, v in past)])
        pooled_mean = means.mean(0)
        return pooled_mean, variances.mean(0) + (means - pooled_mean).square().mean(0)

    def _burning_in(self) -> bool:
        return bool(self.burn_in) and self.num_batches_tracked.item() <= self.burn_in


def producing_weight(output: Tensor) -> Tensor | None:
    """Weight of the convolution that made a tensor, found in the autograd graph.

    Args:
        output: Output ``(N, C, H, W)`` of a convolution, plain or deformable.

    Returns:
        The parameter ``(C, ...)``; None if it is frozen.

    Raises:
        ValueError: Something else than a convolution made the tensor.
    """
    made_by = output.grad_fn
    name = made_by.name() if made_by else 'outside the graph'
    if 'Compiled' in name:
        raise ValueError(
            'CBN reads the weights before it from the autograd graph, which torch.compile hides: train '
            'without compilation (evaluation compiles), or use CmBN or BN.'
        )
    transposed = getattr(made_by, '_saved_transposed', False)
    if made_by and not transposed:
        for leaf in (_leaf(node) for node, _ in made_by.next_functions):
            if leaf is not None and leaf.ndim > 2 and leaf.shape[0] == output.shape[1]:
                return leaf
        if name.startswith('Convolution'):
            return None
    raise ValueError(
        f'CBN has to follow a convolution at once, but its input of {output.shape[1]} channels comes '
        f'from {"a transposed convolution" if transposed else name}: use BN there.'
    )


def _leaf(node: torch.autograd.graph.Node | None) -> Tensor | None:
    """Parameter at the end of an edge of the graph, past the casts of mixed precision."""
    while node is not None and node.name() == 'ToCopyBackward0':
        node = node.next_functions[0][0]
    return getattr(node, 'variable', None)


def _moments(mean: Tensor, variance: Tensor, weight: Tensor | None, count: int) -> Moments:
    """Statistics of this iteration to be used in the next ones."""
    if weight is None:
        return Moments(mean.detach(), variance.detach())
    slopes = (_slope(statistic, weight, count) for statistic in (mean, variance))
    return Moments(mean.detach(), variance.detach(), _exact(weight.detach()).clone(), *slopes)


def _slope(statistic: Tensor, weight: Tensor, count: int) -> Tensor:
    """Derivative ``(C, ...)`` of a statistic ``(C,)`` of each channel by that channel's weights."""
    scale = count**0.5  # in float16, 1 / count vanishes and a sum over count overflows
    (slope,) = torch.autograd.grad(scale * statistic.sum(), weight, retain_graph=True)
    return _exact(slope) / scale


def _exact(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
