"""Freezing parts of a model, and freeing them during training."""

import logging
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmdet_ext.utils.model_layers import any_parameter, model_parts
from mmdet_ext.utils.model_wrappers import unwrapped
from mmdet_ext.utils.parameter_names import as_patterns, choose_names

from .freeze_plan import (
    ALL,
    FreezeStep,
    frozen_at,
    plan_gradual,
    plan_schedule,
    schedule_unit,
)

_MOST_NAMES = 6


@HOOKS.register_module()
class FreezeHook(Hook):
    r"""Freeze parts of a model for all of the training or for a while.

    What is frozen needs no gradient, is moved neither by weight decay nor by momentum, and stays in
    evaluation mode, so that batch normalisation keeps its running statistics and nothing is dropped.
    The optimizer has all parameters from the start, as it is built before: with ``paramwise_cfg``,
    MMEngine leaves out what is frozen earlier (``frozen_stages``), which then can never be freed.
    What is frozen follows from the epoch or iteration alone, so that a resumed run goes on alike.

    A pattern is a dotted prefix (``'backbone.stage1'``), a glob (``'*.bn'``) or ``'re:'`` with a
    regular expression (``'re:backbone.*\\.bn'``). Distributed runs need no ``find_unused_parameters``:
    the wrapper of the model is built anew whenever what is frozen changes.

    Freezing by depth and gradual unfreezing: Howard and Ruder, Universal Language Model Fine-tuning
    for Text Classification, 2018.

    Args:
        freeze: Patterns of what is frozen from the start.
        depth: Freeze the first so many parts, too: the stem and the stages or blocks of the backbone,
            then the neck and so on, as :func:`mmdet_ext.utils.model_layers.model_parts` lists them.
        until_epoch: Free everything after so many epochs. By default it stays frozen.
        until_iter: Free everything after so many iterations.
        schedule: Or what is freed, or frozen, after how many epochs or iterations, in order:
            ``[dict(epoch=2, free='neck'), dict(epoch=5, free='*')]``.
        gradual_epochs: Or free one part after the other, the last one first, each after so many
            epochs more. Everything but the last part is then frozen at first, unless ``freeze`` or
            ``depth`` says otherwise.

    Raises:
        ValueError: Options that contradict each other; before training, a pattern that matches
            nothing, or a plan that freezes everything or frees what the optimizer does not have.
    """

    def __init__(
        self,
        freeze: str | Sequence[str] = (),
        depth: int = 0,
        until_epoch: int | None = None,
        until_iter: int | None = None,
        schedule: Sequence[dict[str, Any]] = (),
        gradual_epochs: int | None = None,
    ) -> None:
        ends = {
            'until_epoch': until_epoch,
            'until_iter': until_iter,
            'schedule': schedule or None,
            'gradual_epochs': gradual_epochs,
        }
        given = [name for name, value in ends.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f'FreezeHook got {" and ".join(given)}: give one of them.')
        later = any('freeze' in entry for entry in schedule)
        if not (freeze or depth or gradual_epochs or later):
            raise ValueError(
                'FreezeHook freezes nothing: give `freeze`, `depth` or `gradual_epochs`.'
            )
        if gradual_epochs is not None and gradual_epochs < 1:
            raise ValueError(f'`gradual_epochs` of FreezeHook is {gradual_epochs}: give 1 or more.')
        for unit, end in (('epoch', until_epoch), ('iter', until_iter)):
            if end is not None:
                schedule = [{unit: end, 'free': ALL}]
        self.freeze, self.depth = as_patterns(freeze), depth
        self.schedule, self.gradual_epochs = list(schedule), gradual_epochs
        self.unit = schedule_unit(self.schedule)
        self._steps: list[FreezeStep] = []
        self._frozen: frozenset[str] = frozenset()
        self._next = 0.0
        self._roots: list[nn.Module] = []  # of the subtrees that are frozen
        self._modules: list[nn.Module] = []  # all modules in them

    def before_train(self, runner: Runner) -> None:
        """Plan, check the plan, and freeze what is to be frozen now."""
        by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
        if by_iter and self.unit == 'epoch' and (self.schedule or self.gradual_epochs):
            raise ValueError(
                'FreezeHook counts epochs, but the training counts iterations (IterBasedTrainLoop): '
                'give `until_iter`, or `iter` in its `schedule`.'
            )
        model = unwrapped(runner.model)
        parameters = dict(model.named_parameters(remove_duplicate=False))
        trainable = {name for name, parameter in parameters.items() if parameter.requires_grad}
        plan = self._plan(model, list(parameters))
        _check_freed(plan, trainable, _in_optimizer(runner, parameters), self.unit)
        self._steps = [FreezeStep(step.begin, step.frozen & trainable) for step in plan]
        end = runner.max_iters if self.unit == 'iter' else runner.max_epochs
        _check_trained(self._steps, trainable, self.unit, end)
        self._frozen = frozenset()
        self._update(runner)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Free and freeze what is due, and undo what ``model.train()`` did to frozen modules."""
        if self._now(runner) >= self._next:
            self._update(runner)
            runner.model.train()
        for module in self._modules:
            if module.training:
                for root in self._roots:
                    root.eval()
                return

    def after_train(self, runner: Runner) -> None:
        """Leave the model as it came."""
        parameters = dict(unwrapped(runner.model).named_parameters(remove_duplicate=False))
        for name in self._frozen:
            parameters[name].requires_grad_(True)

    def _now(self, runner: Runner) -> int:
        return runner.iter if self.unit == 'iter' else runner.epoch

    def _plan(self, model: nn.Module, names: list[str]) -> list[FreezeStep]:
        parts = model_parts(model)
        if not 0 <= self.depth <= len(parts):
            raise ValueError(
                f'`depth` of FreezeHook is {self.depth}, but the model has {len(parts)} parts: '
                f'{", ".join(part.name for part in parts)}.'
            )
        chosen = parts[: self.depth]
        if self.gradual_epochs and not (self.freeze or self.depth):
            chosen = parts[:-1]
        start = frozenset(name for part in chosen for name in part.parameters)
        start |= choose_names(self.freeze, names, 'freeze of FreezeHook')
        if self.gradual_epochs:
            return plan_gradual(parts, start, self.gradual_epochs)
        return plan_schedule(names, start, self.schedule, self.unit)

    def _update(self, runner: Runner) -> None:
        """Freeze and free what is due."""
        now = self._now(runner)
        frozen, self._next = frozen_at(self._steps, now)
        if frozen == self._frozen:
            return
        parameters = dict(unwrapped(runner.model).named_parameters(remove_duplicate=False))
        for name in frozen - self._frozen:
            parameters[name].requires_grad_(False)
            parameters[name].grad = None  # a gradient of zero would leave momentum and decay
        for name in self._frozen - frozen:
            parameters[name].requires_grad_(True)
        freed, self._frozen = len(self._frozen - frozen), frozen
        _renew_wrapper(runner)
        model = unwrapped(runner.model)
        self._roots = _frozen_subtrees(model)
        self._modules = [module for root in self._roots for module in root.modules()]
        print_log(f'{self.unit} {now}: {_summary(model, freed, self._roots)}', 'current')


def _in_optimizer(runner: Runner, parameters: dict[str, nn.Parameter]) -> set[str]:
    wrapper = runner.optim_wrapper
    wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    groups = [group for wrapper in wrappers for group in wrapper.optimizer.param_groups]
    known = {id(parameter) for group in groups for parameter in group['params']}
    return {name for name, parameter in parameters.items() if id(parameter) in known}


def _check_freed(
    steps: list[FreezeStep], trainable: set[str], optimized: set[str], unit: str
) -> None:
    """Refuse to free what could not move."""
    for before, after in pairwise(steps):
        lost = sorted(before.frozen - after.frozen - (optimized & trainable))
        if lost:
            reason = (
                'the optimizer does not have it: leave nothing out of it'
                if lost[0] in trainable
                else 'the model froze it before the optimizer was built: set `frozen_stages` of the '
                'model to -1 and let FreezeHook alone freeze'
            )
            raise ValueError(
                f'FreezeHook would free {len(lost)} parameters at {unit} {after.begin} that could not '
                f'be trained, `{lost[0]}` first; {reason}.'
            )


def _check_trained(steps: list[FreezeStep], trainable: set[str], unit: str, end: int) -> None:
    """Refuse to train nothing, and warn of what will not come."""
    for step in steps:
        if trainable <= step.frozen:
            raise ValueError(
                f'FreezeHook would freeze all {len(trainable)} parameters of the model from {unit} '
                f'{step.begin} on, so that nothing is trained: leave a part out, such as the head.'
            )
    late = [step.begin for step in steps if step.begin >= end]
    if late:
        print_log(
            f'FreezeHook has a step at {unit} {late[0]}, but training ends after {end}: what it '
            'changes stays as it was.',
            'current',
            logging.WARNING,
        )


def _renew_wrapper(runner: Runner) -> None:
    """Build the distributed wrapper anew, which counts on the gradients that it saw when built."""
    if not is_model_wrapper(runner.model):
        return
    if not isinstance(runner.model, DistributedDataParallel) or not hasattr(runner, 'wrap_model'):
        raise ValueError(
            f'FreezeHook cannot change what is trained inside {type(runner.model).__name__}: train '
            'with MMDistributedDataParallel, or freeze with `frozen_stages` of the model.'
        )
    runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), runner.model.module)
    runner._maybe_compile('train_step')


def _frozen_subtrees(module: nn.Module) -> list[nn.Module]:
    """Largest modules with parameters, all of which are frozen."""
    if not any_parameter(module):
        return []
    if not any(parameter.requires_grad for parameter in module.parameters()):
        return [module]
    return [root for child in module.children() for root in _frozen_subtrees(child)]


def _summary(model: nn.Module, freed: int, roots: list[nn.Module]) -> str:
    parameters = list(model.parameters())
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    names = {id(module): name for name, module in model.named_modules()}
    which = [names[id(root)] for root in roots]
    more = f' and {len(which) - _MOST_NAMES} more' if len(which) > _MOST_NAMES else ''
    values, all_values = (sum(p.numel() for p in group) for group in (frozen, parameters))
    return (
        f'{len(frozen)} of {len(parameters)} parameters are frozen ({values:,} of {all_values:,} '
        f'values{f", {freed} parameters were freed" if freed else ""})'
        + (f': {", ".join(which[:_MOST_NAMES])}{more}' if which else '')
    )
