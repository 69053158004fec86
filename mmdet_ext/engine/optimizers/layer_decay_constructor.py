"""Learning rates that fall from the head to the image."""

from typing import Any

from mmdet.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from rich.console import Console
from rich.table import Table
from torch import nn

from mmdet_ext.utils.errors import did_you_mean
from mmdet_ext.utils.model_layers import backbone_layers, model_parts
from mmdet_ext.utils.parameter_names import last_match

_OPTIONS = ('layer_decay_rate', 'lr_mult', 'decay_mult', 'norm_decay_mult', 'bias_decay_mult')
_WIDTH = 140


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Parameter groups with smaller learning rates for earlier layers, for any backbone with stages.

    The last layer of the backbone learns at ``layer_decay_rate`` times the rate of neck and head, the
    one before at that squared, and so on to the stem; what a layer is, see
    :func:`mmdet_ext.utils.model_layers.backbone_layers`. Layer-wise decay: Bao et al., BEiT: BERT
    Pre-Training of Image Transformers, 2022; rates by part: Howard and Ruder, Universal Language
    Model Fine-tuning for Text Classification, 2018.

    All parameters are in one group each, those that are frozen when the optimizer is built as well.

    Options in ``paramwise_cfg``; patterns are those of
    :func:`mmdet_ext.utils.parameter_names.choose_names`, the last one that matches counts:

    - ``layer_decay_rate``: Factor from one layer of the backbone to the one before; 1 by default.
    - ``lr_mult``: Factors by pattern, ``{'backbone': 0.1, 'neck': 0.5}``.
    - ``decay_mult``: Factors of the weight decay by pattern, ``{'*.pos_embed': 0}``.
    - ``norm_decay_mult``, ``bias_decay_mult``: Factors of the weight decay of normalisations and of
      biases; 1 by default, 0 for none.

    Args:
        optim_wrapper_cfg: As for the base class.
        paramwise_cfg: The options above.

    Raises:
        ValueError: An option is unknown or out of range, a pattern matches nothing, there is no rate
            or weight decay to multiply, or the layers of the backbone are not known.
    """

    def _validate_cfg(self) -> None:
        for option in self.paramwise_cfg:
            if option not in _OPTIONS:
                raise ValueError(
                    f'`paramwise_cfg` has {option!r}{did_you_mean(option, _OPTIONS)}, but '
                    f'{type(self).__name__} has the options {", ".join(_OPTIONS)}.'
                )
        rate = self.paramwise_cfg.get('layer_decay_rate', 1)
        if not 0 < rate <= 1:
            raise ValueError(f'`layer_decay_rate` is {rate}: give a factor above 0, at most 1.')
        if self.base_lr is None:
            raise ValueError('`optim_wrapper.optimizer` has no `lr`, which layers get factors of.')
        if self.base_wd is None and any('decay_mult' in option for option in self.paramwise_cfg):
            raise ValueError(
                '`optim_wrapper.optimizer` has no `weight_decay`, which `paramwise_cfg` has factors of.'
            )

    def add_params(self, params: list[dict], module: nn.Module, **kwargs: Any) -> None:
        """Add the groups of a model.

        Args:
            params: Groups for the optimizer; extended.
            module: The model.
            kwargs: Not used; as for the base class.
        """
        names = [name for name, _ in module.named_parameters()]
        rates = self._rate_factors(module, names)
        decays = self._decay_factors(module, names)
        parts = model_parts(module)
        groups: dict[tuple[float, float], dict] = {}
        members: dict[tuple[float, float], set[str]] = {}
        for name, parameter in module.named_parameters():
            key = rates[name], decays[name]
            group = groups.setdefault(key, {'params': [], 'lr': self.base_lr * key[0]})
            if self.base_wd is not None:
                group['weight_decay'] = self.base_wd * key[1]
            group['params'].append(parameter)
            members.setdefault(key, set()).add(name)
        labels = [
            ', '.join(part.name for part in parts if members[key] & set(part.parameters))
            for key in sorted(groups)
        ]
        params.extend(groups[key] for key in sorted(groups))
        print_log(_table(labels, [groups[key] for key in sorted(groups)]), 'current')

    def _rate_factors(self, model: nn.Module, names: list[str]) -> dict[str, float]:
        """Factor of the learning rate of each parameter."""
        factors = dict.fromkeys(names, 1.0)
        rate = self.paramwise_cfg.get('layer_decay_rate', 1)
        if rate != 1:
            for prefix, backbone in _backbones(model).items():
                for depth, layer in enumerate(reversed(backbone_layers(backbone, prefix)), start=1):
                    factors |= dict.fromkeys(layer.parameters, rate**depth)
        multipliers = last_match(self.paramwise_cfg.get('lr_mult', {}), names, 'lr_mult')
        return {name: factors[name] * multipliers.get(name, 1) for name in names}

    def _decay_factors(self, model: nn.Module, names: list[str]) -> dict[str, float]:
        """Factor of the weight decay of each parameter."""
        multipliers = last_match(self.paramwise_cfg.get('decay_mult', {}), names, 'decay_mult')
        of_norms = self.paramwise_cfg.get('norm_decay_mult', 1)
        of_biases = self.paramwise_cfg.get('bias_decay_mult', 1)
        modules = dict(model.named_modules())
        for name in names:
            owner, _, own = name.rpartition('.')
            if _is_norm(modules[owner]):
                multipliers.setdefault(name, of_norms)
            elif own.endswith('bias'):
                multipliers.setdefault(name, of_biases)
        return {name: multipliers.get(name, 1) for name in names}


def _backbones(model: nn.Module) -> dict[str, nn.Module]:
    found = {
        name: module
        for name, module in model.named_modules()
        if name.rpartition('.')[2] == 'backbone'
    }
    if not found:
        raise ValueError(
            f'{type(model).__name__} has no `backbone`, whose layers `layer_decay_rate` is for: give '
            'rates by name in `lr_mult`.'
        )
    return found


def _is_norm(module: nn.Module) -> bool:
    return any('Norm' in base.__name__ for base in type(module).__mro__)


def _table(labels: list[str], groups: list[dict]) -> str:
    table = Table('parts', title='Parameter groups')
    for column in ('parameters', 'values', 'learning rate', 'weight decay'):
        table.add_column(column, justify='right')
    for label, group in zip(labels, groups, strict=True):
        table.add_row(
            label,
            str(len(group['params'])),
            f'{sum(parameter.numel() for parameter in group["params"]):,}',
            f'{group["lr"]:.3g}',
            f'{group.get("weight_decay", 0):.3g}',
        )
    console = Console(width=_WIDTH)
    with console.capture() as capture:
        console.print(table)
    return '\n' + capture.get()
