"""L1 regularisation."""

from collections.abc import Sequence

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.optim import Optimizer

from mmdet_ext.utils.model_wrappers import unwrapped
from mmdet_ext.utils.parameter_names import choose_names


@HOOKS.register_module()
class L1RegularizationHook(Hook):
    """Pull weights towards zero by a constant amount, which makes many of them zero or nearly so.

    The penalty ``weight * sum(|w|)`` (Tibshirani: Regression Shrinkage and Selection via the Lasso,
    1996) acts once per step of the optimizer, whatever is accumulated, scaled (``GradScaler``) or
    clipped before it, as the optimizer's own weight decay does; a skipped step does not count.

    Args:
        weight: Of the penalty in the loss.
        parameters: Patterns of their names, see ``choose_names``; by default all.
        norms_and_biases: Take vectors and scalars, too, which are weights of norms and biases.
        proximal: Shrink the weights after the step by the learning rate times ``weight``, down to
            exactly zero (soft thresholding: Parikh and Boyd, Proximal Algorithms, 2014), instead of
            adding the sub-gradient ``weight * sign(w)`` before it, which an adaptive optimizer
            rescales and with which weights end up near zero.

    Raises:
        ValueError: The weight is not positive; or, in training, no parameter is meant.
    """

    def __init__(
        self,
        weight: float,
        parameters: str | Sequence[str] | None = None,
        norms_and_biases: bool = False,
        proximal: bool = False,
    ) -> None:
        if not weight > 0:
            raise ValueError(
                f'L1RegularizationHook got weight={weight}: give one above 0, such as 1e-5.'
            )
        self.weight, self.parameters = weight, parameters
        self.norms_and_biases, self.proximal = norms_and_biases, proximal

    def before_train(self, runner: Runner) -> None:
        """Choose the parameters and act on the steps of the optimizer from now on."""
        wrapper = runner.optim_wrapper
        if isinstance(wrapper, OptimWrapperDict):
            raise ValueError(
                'L1RegularizationHook acts on one optimizer, but `optim_wrapper` holds '
                f'{", ".join(wrapper.keys())}: remove the hook from `custom_hooks`.'
            )
        model = unwrapped(runner.model)
        chosen = self._chosen(model)
        ids = {id(parameter) for parameter in chosen.values()}
        if self.proximal:
            self._handle = wrapper.optimizer.register_step_post_hook(
                lambda optimizer, args, kwargs: _shrink(optimizer, ids, self.weight)
            )
        else:
            self._handle = wrapper.optimizer.register_step_pre_hook(
                lambda optimizer, args, kwargs: _add_sub_gradient(optimizer, ids, self.weight)
            )
        count = sum(parameter.numel() for parameter in chosen.values())
        runner.logger.info(
            f'L1 penalty of {self.weight} on {count} weights in {len(chosen)} tensors'
        )

    def after_train(self, runner: Runner) -> None:
        """Leave the optimizer alone."""
        self._handle.remove()

    def _chosen(self, model: nn.Module) -> dict[str, nn.Parameter]:
        named = dict(model.named_parameters())
        if self.parameters is not None:
            names = choose_names(self.parameters, named, 'parameters')
            named = {name: parameter for name, parameter in named.items() if name in names}
        chosen = {k: p for k, p in named.items() if self.norms_and_biases or p.ndim > 1}
        if not chosen:
            raise ValueError(
                f'L1RegularizationHook got parameters={self.parameters!r}, and all {len(named)} of '
                'these are norms or biases: choose others, or set norms_and_biases=True.'
            )
        return chosen


def _chosen_in(group: dict, ids: set[int]) -> list[Tensor]:
    return [p for p in group['params'] if id(p) in ids and p.grad is not None]


@torch.no_grad()
def _add_sub_gradient(optimizer: Optimizer, ids: set[int], weight: float) -> None:
    # A fused optimizer under a GradScaler unscales gradients itself: they are still scaled here.
    scale = getattr(optimizer, 'grad_scale', None)
    for group in optimizer.param_groups:
        for parameter in _chosen_in(group, ids):
            penalty = parameter.sign() * weight
            parameter.grad.add_(penalty if scale is None else penalty * scale)


@torch.no_grad()
def _shrink(optimizer: Optimizer, ids: set[int], weight: float) -> None:
    found_inf = getattr(optimizer, 'found_inf', None)  # a fused optimizer skips the step itself
    for group in optimizer.param_groups:
        amount = group['lr'] * weight
        if found_inf is not None:
            amount = amount * (1 - found_inf)
        for parameter in _chosen_in(group, ids):
            parameter.copy_(parameter.sign() * (parameter.abs() - amount).clamp(min=0))
