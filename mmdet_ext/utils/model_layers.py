"""The order of a model from the image to the losses: layers of its backbone, neck, heads."""

import re
from typing import NamedTuple

from torch import nn

_NUMBERED = re.compile(r'^(.*?)(\d+)([a-z]?)$')

Numbers = dict[tuple[int, str], str]
"""Names of modules that differ in their number (and a letter after it) only, in order."""


class Layer(NamedTuple):
    """A part of a model that learns as one.

    Attributes:
        name: Dotted.
        parameters: Their names in the model.
    """

    name: str
    parameters: tuple[str, ...]


def model_parts(model: nn.Module) -> list[Layer]:
    """Divide a detector into the layers of its backbone, then its neck and so on, heads last.

    Args:
        model: A detector, not wrapped for distributed training.

    Returns:
        Parts with parameters; a backbone that has no numbered stages or blocks is one part. Parameters
        that the detector has itself go with the last one.
    """
    children = [(name, child) for name, child in model.named_children() if any_parameter(child)]
    children.sort(key=lambda item: ('backbone' not in item[0], 'head' in item[0]))
    parts = []
    for name, child in children:
        if name == 'backbone' and _stages(child, _families(child)):
            parts += backbone_layers(child, name)
        else:
            parts.append(Layer(name, tuple(f'{name}.{key}' for key, _ in child.named_parameters())))
    own = tuple(name for name, _ in model.named_parameters(recurse=False))
    if own and parts:
        parts[-1] = parts[-1]._replace(parameters=parts[-1].parameters + own)
    return parts


def backbone_layers(backbone: nn.Module, prefix: str = 'backbone') -> list[Layer]:
    """Divide a backbone into its stem and its numbered stages or blocks.

    The stages are the modules with numbered names that hold most of the parameters: ``layer1`` to
    ``layer4`` of a ResNet, ``stage1`` ... of CSPDarknet and CSPNeXt, ``blocks.0`` ... of a vision
    transformer, ``body.features.0`` ... of torchvision. What is registered before the first one is
    the stem, between two it belongs to the later one, after the last one to that; modules that are
    numbered as the stages are (``norm0`` ..., ``downsample_layers.0`` ...) go with theirs.

    Args:
        backbone: The network.
        prefix: Its name in the model.

    Returns:
        The stem, if there is one, and the stages.

    Raises:
        ValueError: It has no such modules.
    """
    families = _families(backbone)
    stages = _stages(backbone, families)
    if stages is None:
        raise ValueError(
            f'`{prefix}` ({type(backbone).__name__}) has no numbered stages or blocks, so that its '
            'depth is not known: name what is meant, such as '
            f'`{prefix}.{next((name for name, _ in backbone.named_children()), "...")}`.'
        )
    positions = _positions(families, stages)
    layers: list[list[str]] = [[] for _ in range(len(stages) + 1)]
    seen = 0
    for name, _ in backbone.named_parameters():
        index = next((i for key, i in positions.items() if _is_in(name, key)), None)
        if index is None:  # between two stages it leads to the later one
            index = min(seen + 1, len(stages)) if seen else 0
        elif _is_in(name, list(stages.values())[index - 1]):
            seen = max(seen, index)
        layers[index].append(f'{prefix}.{name}')
    names = [f'{prefix}.stem', *(f'{prefix}.{stage}' for stage in stages.values())]
    return [
        Layer(name, tuple(parameters))
        for name, parameters in zip(names, layers, strict=True)
        if parameters
    ]


def any_parameter(module: nn.Module) -> bool:
    """Tell whether a module has parameters."""
    return next(module.parameters(), None) is not None


def _is_in(name: str, module: str) -> bool:
    return name.startswith(f'{module}.')


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _families(backbone: nn.Module) -> list[Numbers]:
    """Modules whose names differ in their number only, outermost first; two or more of each."""
    families: dict[str, Numbers] = {}
    for name, module in backbone.named_modules():
        match = _NUMBERED.match(name)
        if match and any_parameter(module):
            families.setdefault(match[1], {})[int(match[2]), match[3]] = name
    return [family for family in families.values() if len(family) > 1]


def _stages(backbone: nn.Module, families: list[Numbers]) -> Numbers | None:
    """The family with most of the parameters."""
    whole = _size(backbone)
    for least, share in ((3, 0.25), (2, 0.5)):  # two may also be a first and a last convolution
        sizes = [
            sum(_size(backbone.get_submodule(name)) for name in family.values())
            if len(family) >= least
            else 0
            for family in families
        ]
        if max(sizes, default=0) >= share * whole:
            return families[sizes.index(max(sizes))]
    return None


def _positions(families: list[Numbers], stages: Numbers) -> dict[str, int]:
    """Which layer the stages, and what is numbered as they are, belong to; 0 is the stem."""
    alike = [
        family
        for family in families
        if family.keys() == stages.keys() and not any('stem' in name for name in family.values())
    ]
    return {
        name: index
        for family in [*alike, stages]
        for index, name in enumerate(family.values(), start=1)
    }
