"""Faster inference: batch normalisation folded into the convolutions before it."""

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from mmcv.cnn import ConvModule
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmdet_ext.utils.model_wrappers import unwrapped

ALONE = 'without a convolution right before'
OTHER = 'that cannot be folded (no running statistics, or more than a convolution and a batch norm)'
_TOLERANCE = (
    1e-2  # of the largest output, in any precision; a fold that is wrong is off by far more
)


@dataclass
class Fusion:
    """What became of a model's batch norms.

    Attributes:
        fused: How many are gone.
        kept: Names of those that are still there, with the reason.
    """

    fused: int
    kept: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        text = f'{self.fused} of {self.fused + len(self.kept)} batch norms fused into convolutions'
        reasons = [f'{count} {reason}' for reason, count in Counter(self.kept.values()).items()]
        return f'{text}; kept: {", ".join(reasons)}' if reasons else text


@torch.no_grad()
def fuse_conv_bn(model: nn.Module) -> Fusion:
    """Fold each batch norm into the convolution right before it, in place.

    Outputs stay the same up to rounding. ``SyncBN``, ``CBN`` and ``CmBN`` are folded, too: in evaluation
    they are ``BN``. Unlike :func:`mmcv.cnn.fuse_conv_bn` this folds nothing past a layer between the
    two, gives every batch norm its own copy of a convolution that several share (the head of RTMDet),
    tries each fold on random numbers before it counts, and says what it did.

    Args:
        model: Any model. It is switched to evaluation and cannot be trained any more.

    Returns:
        What was fused, and what was kept for which reason.
    """
    model.eval()
    total = sum(isinstance(module, _BatchNorm) for module in model.modules())
    tried = set()
    for parent in list(model.modules()):
        for conv_name, norm_name in list(_neighbours(parent)):
            conv, norm = getattr(parent, conv_name), getattr(parent, norm_name)
            tried.add(norm)
            fused = _folded(conv, norm)
            if fused is None:
                continue
            setattr(parent, conv_name, fused)
            setattr(parent, norm_name, nn.Identity())
            if isinstance(parent, ConvModule):
                parent.turn_on_efficient_conv_bn_eval(False)  # it would look for the batch norm
    kept = {
        name: OTHER if module in tried else ALONE
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
    }
    return Fusion(total - len(kept), kept)


class FuseConvBNHook(Hook):
    """Test a copy of the model whose batch norms are fused.

    A copy, since other hooks (the moving average of the weights) put the model's own weights back
    after the test.
    """

    priority = 'LOWEST'  # when the weights to be tested are in place

    def before_test_epoch(self, runner: Runner) -> None:
        """Put the copy in the model's place."""
        model = copy.deepcopy(unwrapped(runner.model))
        runner.logger.info(str(fuse_conv_bn(model)))
        if is_model_wrapper(runner.model):
            runner.model.module = model
        else:
            runner.model = model


def _neighbours(parent: nn.Module) -> Iterator[tuple[str, str]]:
    """Names of a convolution and of the batch norm that is applied to its output."""
    order = getattr(parent, 'order', ()) if isinstance(parent, ConvModule) else ()
    if order and order.index('norm') != order.index('conv') + 1:
        return
    children = [(name, child) for name, child in parent._modules.items() if child is not None]
    for (conv_name, conv), (norm_name, norm) in pairwise(children):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, _BatchNorm):
            yield conv_name, norm_name


def _folded(conv: nn.Conv2d, norm: _BatchNorm) -> nn.Conv2d | None:
    """Both as one convolution; None if there is none that gives the same."""
    rewritten = conv._forward_pre_hooks or nn.utils.parametrize.is_parametrized(conv)
    if norm.running_mean is None or norm.num_features != conv.out_channels or rewritten:
        return None
    fused = fuse_conv_bn_eval(conv, norm)
    side = max(d * (k - 1) + 1 for k, d in zip(conv.kernel_size, conv.dilation, strict=True))
    generator = torch.Generator().manual_seed(0)
    probe = 10 * torch.randn(8, conv.in_channels, side, side, generator=generator).to(conv.weight)
    expected = norm(conv(probe)).float()
    error = (fused(probe).float() - expected).abs().max()
    return fused if error <= _TOLERANCE * expected.abs().max() else None
