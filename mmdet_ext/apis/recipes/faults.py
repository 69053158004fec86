"""What is wrong with the table of recipes: rows, paths, options and names."""

import builtins
import io
import pkgutil
import re
import runpy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from functools import cache
from pathlib import Path

import mmcv.ops
import mmdet.registry
import mmengine.registry

from mmdet_ext.models.layers.nms import VARIANTS
from mmdet_ext.utils.errors import did_you_mean
from mmdet_ext.utils.shipped_tools import find_tool, list_tools

from .table import Row, Table, is_config, recipe_files

GROUPS = (
    'Data',
    'Augmentation',
    'Model',
    'Loss',
    'Optimiser',
    'Schedule',
    'Training',
    'Evaluation',
    'Seeing',
    'Distributed',
)
_COMMAND = re.compile(r'^(?:python )?(?:tools/|-m mmdet_ext )(?P<tool>[\w:/]+)(?P<rest>.*)')
_OPTION = re.compile(r'(?<![\w-])--[a-z][\w-]*')
_TYPE = re.compile(r"\b(?:type|ema_type|constructor)='([\w.]+)'")
_CLASS = re.compile(r'^([A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*)(?:\(.*)?$')
_DOTTED = re.compile(r'^(?:torch|torchvision|mmengine|mmcv|mmdet|mmdet_ext)(?:\.\w+)+$')
_NOT_REGISTERED = {'nms', 'soft_nms', 'value', *VARIANTS}  # NMS, and `clip_grad`


def find_faults(table: Table, actions: Mapping[str, str], folder: Path) -> list[str]:
    """Compare the table with what there is.

    Args:
        table: The table.
        actions: What must be answered, and how.
        folder: That the table's links start from, with the configs in ``recipes``.

    Returns:
        Sentences, one for each fault.
    """
    faults = [*_group_faults(table), *_id_faults(table, actions), *_unnamed_configs(table, folder)]
    faults += _link_faults(table.links, folder)
    for row in table.rows:
        own = *_cell_faults(row), *_link_faults(row.links, folder), *_code_faults(row)
        faults += [f'line {row.number} ({row.group}): {fault}' for fault in own]
    return faults


def _group_faults(table: Table) -> Iterator[str]:
    if table.groups != GROUPS:
        yield (
            f'the groups are {", ".join(table.groups)}, but must be {", ".join(GROUPS)}, in that order.'
        )


def _id_faults(table: Table, actions: Mapping[str, str]) -> Iterator[str]:
    answered = Counter(id_ for row in table.rows for id_ in row.ids)
    missing = [id_ for id_ in actions if id_ not in answered]
    if missing:
        yield f'no row answers {", ".join(missing)}: add rows with these ids.'
    for id_, count in answered.items():
        if id_ not in actions:
            yield f'{id_} is answered, but not asked for: correct the id.'
        elif count > 1:
            yield f'{id_} is answered by {count} rows: leave it in one.'
    for row in table.rows:
        for id_ in row.ids:
            if row.declined and actions.get(id_) == 'wire':
                yield f'{id_} stands under "Not here", but the stack has it: show how it is used.'


def _unnamed_configs(table: Table, folder: Path) -> Iterator[str]:
    named = {(folder / link).resolve() for row in table.rows for link in row.links}
    for file in recipe_files(folder):
        if file.resolve() not in named:
            yield f'{file.relative_to(folder)} is in no row: name it in one, or remove it.'


def _cell_faults(row: Row) -> Iterator[str]:
    wanted = 2 if row.declined else 3
    if len(row.cells) != wanted:
        yield f'the row has {len(row.cells)} cells, but must have {wanted}.'
    if not all(re.sub(r'<!--.*?-->', '', cell).strip() for cell in row.cells[:2]):
        yield 'a cell is empty.'
    if row.variants and not any(map(is_config, row.links)):
        yield '--cfg-options are given, but no config that they are for: link one.'


def _link_faults(links: Sequence[str], folder: Path) -> Iterator[str]:
    for link in links:
        if not (folder / link).exists():
            yield f'the link {link} leads nowhere: correct it.'


def _code_faults(row: Row) -> Iterator[str]:
    options = set().union(*(tool_options(file) for file in list_tools().values()))
    for code in row.code:
        command = _COMMAND.match(code)
        if command and command['tool'] != 'configs' and not command['tool'].endswith(':'):  # lists
            try:
                known = tool_options(_script(command))
            except ValueError as error:
                yield str(error)
                continue
            options |= known
            yield from _option_faults(command['rest'], known, command['tool'])
        elif code.startswith('--'):
            yield from _option_faults(code, options, 'any tool')
        yield from _name_faults(code)


def _script(command: re.Match) -> Path:
    name, suffix = command['tool'], command['rest'].partition(' ')[0]
    shell = list_tools()['train'].parent / f'{name}{suffix}'
    return shell if suffix == '.sh' and shell.is_file() else find_tool(name)


def _option_faults(text: str, known: set[str], tool: str) -> Iterator[str]:
    for option in _OPTION.findall(text):
        if option not in known:
            yield f'{option} is no option of {tool}{did_you_mean(option, sorted(known))}.'


def _name_faults(code: str) -> Iterator[str]:
    names = {name for name in _TYPE.findall(code) if not hasattr(mmcv.ops, name)} - _NOT_REGISTERED
    bare = _CLASS.match(code)
    if bare and not hasattr(builtins, bare[1]):
        names.add(bare[1])
    for name in sorted(names):
        if name not in registered_names():
            yield f'{name} is not registered{did_you_mean(name, sorted(registered_names()))}.'
    if _DOTTED.match(code):
        try:
            pkgutil.resolve_name(code)
        except (ImportError, AttributeError):
            yield f'{code} cannot be imported.'


@cache
def tool_options(file: Path) -> set[str]:
    """Find the options of a tool.

    Args:
        file: A script of ours, which is asked for ``--help``, or another's, whose text is searched.

    Returns:
        Such as ``--amp``.
    """
    text = file.read_text(encoding='utf-8')
    if file.suffix == '.py' and 'def main(argv' in text:
        printed = io.StringIO()
        with redirect_stdout(printed), suppress(SystemExit):
            runpy.run_path(str(file))['main'](['--help'])
        text = printed.getvalue()
    return set(_OPTION.findall(text))


@cache
def registered_names() -> set[str]:
    """All names in the registries of mmengine, mmcv, mmdet and ours.

    Returns:
        The names, whatever they are registered for.
    """
    registries = [*vars(mmengine.registry).values(), *vars(mmdet.registry).values()]
    registries = [each for each in registries if isinstance(each, mmengine.registry.Registry)]
    roots = {id(each.root): each.root for each in registries}.values()
    todo, names = [*registries, *roots], set()
    while todo:
        registry = todo.pop()
        registry.import_from_location()
        names |= registry.module_dict.keys()
        todo += registry.children.values()
    return names
