"""The kit's layers, necks and backbones in one table: what each costs and which paper it is from."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.registry import DefaultScope
from rich.console import Console
from torch import Tensor, nn

from mmdet_ext.apis.benchmark import median_seconds
from mmdet_ext.apis.model_info.complexity import count_macs, count_parameters
from mmdet_ext.utils.tables import table_of

_MODELS = 'mmdet_ext/models/'
_WIDTH_IN_FILES = 400
KINDS = {
    'attention': 'mmdet_ext.models.layers.attention',
    'layer': 'mmdet_ext.models.layers',
    'neck': 'mmdet_ext.models.necks',
    'backbone': 'mmdet_ext.models.backbones',
}
"""Kind of a component by the package that it is in; the first that fits counts."""

IMAGE_SIZE, CHANNELS, SIZE, LEVELS = 224, 256, 32, 3
"""What components are measured on: see :func:`describe_inputs`."""

_NAME = r"(?:(?:van|von|de|der|du) )*[A-Z][\w'-]+"
_REFERENCE = re.compile(
    rf'(?:^|(?<=\. ))(?:{_NAME}(?:,? (?:and )?{_NAME})*(?: et al\.)?)[,:] '
    r'.+?\b(?:19|20)\d\d(?:, arXiv:\d{4}\.\d{4,5})?(?=[.;,)]|$)'
)
_SECTION = re.compile(r'^(Args|Attributes|Raises|Returns):$', re.MULTILINE)


@dataclass
class Component:
    """A registered class and what it costs.

    Attributes:
        name: In the registry.
        kind: One of :data:`KINDS`.
        paper: Authors, title and year, from its docstring; empty for what is no method of a paper.
        file: Where it is, from the package on.
        arguments: What it was built with.
        parameters: Their number; None if it cannot be measured.
        macs: Multiply-accumulates of a forward pass, as :func:`count_macs` counts them.
        milliseconds: Of a forward pass, the median.
        problem: Why it could not be measured.
    """

    name: str
    kind: str
    paper: str
    file: str
    arguments: dict[str, Any]
    parameters: int | None = None
    macs: int | None = None
    milliseconds: float | None = None
    problem: str = ''


def find_components() -> Iterator[tuple[str, str, type[nn.Module]]]:
    """Find the kit's components in mmdet's registry.

    Yields:
        Kind, name and class, by kind and file.
    """
    import_module('mmdet_ext.models')
    seen = set()
    for kind, package in KINDS.items():
        inside = sorted(
            (component.__module__, name)
            for name, component in MODELS.module_dict.items()
            if component.__module__.startswith(f'{package}.') and name not in seen
        )
        for _, name in inside:
            seen.add(name)
            yield kind, name, MODELS.module_dict[name]


def reference_of(component: type) -> str:
    """Return the paper that a docstring names, before its sections.

    Args:
        component: A class with a sentence such as ``Wu and He: Group Normalization, ECCV 2018,
            arXiv:1803.08494.``, at the start of a paragraph or within one.

    Returns:
        That sentence without its full stop; empty if there is none.
    """
    text = _SECTION.split(inspect.getdoc(component) or '')[0]
    for paragraph in text.split('\n\n'):
        match = _REFERENCE.search(' '.join(paragraph.split()))
        if match:
            return match[0]
    return ''


def measure_components(kinds: list[str] | None = None, repeats: int = 9) -> list[Component]:
    """Measure the kit's components in evaluation mode on the CPU.

    Args:
        kinds: Which; all of :data:`KINDS` by default.
        repeats: Timed calls of each.

    Returns:
        One entry per component; those that cannot be measured say why.
    """
    with DefaultScope.overwrite_default_scope('mmdet'):
        return [
            _measured(kind, name, component, repeats)
            for kind, name, component in find_components()
            if not kinds or kind in kinds
        ]


def describe_inputs() -> str:
    """Return what components are measured on, as a sentence."""
    layers = f'1 x {CHANNELS} x {SIZE} x {SIZE}'
    return (
        f'attention and layers on a map of {layers}, necks on {LEVELS} maps of {CHANNELS} channels '
        f'from {SIZE} x {SIZE} down (or one), backbones on 1 x 3 x {IMAGE_SIZE} x {IMAGE_SIZE}; '
        f'evaluation mode, CPU, {torch.get_num_threads()} thread(s), medians; element-wise products '
        'are no MACs'
    )


def print_components(components: list[Component], markdown: bool = False) -> None:
    """Print the table.

    Args:
        components: Its rows.
        markdown: As Markdown, instead of for a terminal.
    """
    names, numbers = ('component', 'kind'), ('parameters', 'MACs', 'ms')
    sides = [*((name, 'left') for name in names), *((name, 'right') for name in numbers)]
    table = table_of(sides, markdown)
    table.add_column('paper', ratio=2)
    table.add_column(f'file in {_MODELS}', ratio=1, overflow='fold')
    for row in components:
        paper = f'not measured: {row.problem}' if row.problem else row.paper or '-'
        numbers = (_amount(row.parameters), _amount(row.macs), _milliseconds(row.milliseconds))
        table.add_row(_title(row), row.kind, *numbers, paper, row.file.removeprefix(_MODELS))
    console = Console()
    if markdown or not console.is_terminal:
        console.width = _WIDTH_IN_FILES
    console.print(f'{describe_inputs()}\n', highlight=False)
    console.print(table)


def as_dict(components: list[Component]) -> dict[str, Any]:
    """Return the table for a JSON file."""
    return {'inputs': describe_inputs(), 'components': [asdict(row) for row in components]}


def _measured(kind: str, name: str, component: type[nn.Module], repeats: int) -> Component:
    arguments = _required_arguments(kind, component)
    file = component.__module__.replace('.', '/') + '.py'
    row = Component(name, kind, reference_of(component), file, arguments)
    try:
        model = component(**arguments).eval()
        inputs = _inputs(kind, arguments)
        row.parameters = count_parameters(model).total
        row.macs = count_macs(model, inputs).macs
        with torch.no_grad():
            row.milliseconds = 1e3 * median_seconds(lambda: model(inputs), repeats)
    except Exception as error:  # one component that needs a library should not hide the others
        row.problem = ' '.join(str(error).split()) or type(error).__name__
    return row


def _required_arguments(kind: str, component: type) -> dict[str, Any]:
    """Values for the arguments that have no default, by their names."""
    parameters = inspect.signature(component).parameters
    known = {
        'in_channels': CHANNELS,
        'num_channels': CHANNELS,
        'num_features': CHANNELS,
        'spatial_size': (SIZE, SIZE),
        'attention': dict(type='SqueezeExcitation'),
        'model': 'resnet18',
    }
    if kind == 'neck' and parameters['in_channels'].annotation is not int:
        known['in_channels'] = [CHANNELS] * LEVELS
    required = [name for name, p in parameters.items() if p.default is p.empty]
    return {name: known[name] for name in required if name in known}


def _inputs(kind: str, arguments: dict[str, Any]) -> Tensor | tuple[Tensor, ...]:
    if kind == 'backbone':
        return torch.randn(1, 3, IMAGE_SIZE, IMAGE_SIZE)
    if kind == 'neck':
        levels = LEVELS if isinstance(arguments['in_channels'], list) else 1
        return tuple(torch.randn(1, CHANNELS, SIZE >> i, SIZE >> i) for i in range(levels))
    return torch.randn(1, CHANNELS, SIZE, SIZE)


def _title(row: Component) -> str:
    """Name, and what it was built around if that was a choice."""
    inner = [v['type'] if isinstance(v, dict) else v for v in row.arguments.values()]
    chosen = [value for value in inner if isinstance(value, str)]
    return f'{row.name} ({", ".join(chosen)})' if chosen else row.name


def _amount(number: int | None) -> str:
    if number is None:
        return ''
    for limit, unit in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
        if number >= limit:
            return f'{number / limit:.3g} {unit}'
    return f'{number}'


def _milliseconds(number: float | None) -> str:
    return '' if number is None else f'{number:.2f}'
