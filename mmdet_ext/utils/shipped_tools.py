"""The scripts that a package of the family ships in its ``.mim/tools``: ours and mmdet's."""

import ast
import difflib
import runpy
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path

OURS = 'mmdet_ext'
NOT_FOR_USERS = ('setup',)


def list_tools(package: str = OURS) -> dict[str, Path]:
    """Find a package's scripts without importing it.

    Args:
        package: Such as ``mmdet``.

    Returns:
        Their files by name: the path below ``tools/`` without its suffix. In order.

    Raises:
        ValueError: There is no such package.
    """
    folder = _shipped(package) / 'tools'
    return {
        str(file.relative_to(folder).with_suffix('')): file
        for file in sorted(folder.rglob('*.py'))
        if file.relative_to(folder).parts[0] not in NOT_FOR_USERS
    }


def find_tool(name: str) -> Path:
    """Find one script by its name.

    Args:
        name: As in :func:`list_tools`, or its last part if that is enough to tell; ``PACKAGE:NAME``
            for a package other than ours.

    Returns:
        The file.

    Raises:
        ValueError: No script, or more than one, is called so.
    """
    package, _, tool = name.rpartition(':')
    tools = list_tools(package or OURS)
    tool = tool.removesuffix('.py')
    if tool in tools:
        return tools[tool]
    called = [known for known in tools if Path(known).name == tool]
    if len(called) == 1:
        return tools[called[0]]
    prefix = f'{package}:' if package else ''
    if called:
        raise ValueError(f'{name} may be {_either(prefix, called)}: name one.')
    raise ValueError(
        f'there is no tool {name}{_meant(tool, prefix, list(tools))}: `python -m mmdet_ext` lists '
        'all of them.'
    )


def run_script(file: Path, arguments: Sequence[str]) -> None:
    """Run a script in this process, as ``python FILE ARGUMENTS`` would.

    Args:
        file: From :func:`find_tool`.
        arguments: Its command line.
    """
    sys.argv = [str(file), *arguments]
    sys.path[0] = str(file.parent)
    runpy.run_path(str(file), run_name='__main__')


def list_shipped_configs(pattern: str = '') -> list[str]:
    """Names or paths of configs to give to a tool.

    Args:
        pattern: Part of their paths, in which ``*`` stands for anything; ``PACKAGE:PATTERN`` for a
            package other than ours.

    Returns:
        Our configs by name; another package's as paths.

    Raises:
        ValueError: There is no such package.
    """
    package, _, pattern = pattern.rpartition(':')
    folder = _shipped(package or OURS) / 'configs'
    found = []
    for file in sorted(folder.rglob('*.py')):
        name = file.relative_to(folder)
        is_part = any(part.startswith('_') for part in name.parts)  # such as _base_
        if not is_part and fnmatchcase(name.as_posix(), f'*{pattern}*'):
            found.append(str(file if package else name))
    return found


def describe(file: Path) -> str:
    """Return the first line of what a script says of itself, without running it."""
    tree = ast.parse(file.read_text(encoding='utf-8'))
    text = ast.get_docstring(tree)
    for node in ast.walk(tree):
        if not text and isinstance(node, ast.keyword) and node.arg == 'description':
            text = node.value.value if isinstance(node.value, ast.Constant) else None
    return ' '.join((text or '').strip().split('\n')[0].split())


def _shipped(package: str) -> Path:
    spec = find_spec(package) if package.isidentifier() else None
    folder = Path(spec.origin).parent / '.mim' if spec and spec.origin else None
    if folder is None or not folder.is_dir():
        raise ValueError(
            f'no installed package {package} ships tools and configs: name mmdet, or leave '
            f'`{package}:` out for those of mmdet_ext.'
        )
    return folder


def _meant(tool: str, prefix: str, known: list[str]) -> str:
    """Near matches by the whole name or by its last part."""
    names = {Path(name).name: name for name in known} | {name: name for name in known}
    close = difflib.get_close_matches(tool, names, n=3, cutoff=0.6)
    close = list(dict.fromkeys(names[name] for name in close))
    return f' (did you mean {_either(prefix, close)}?)' if close else ''


def _either(prefix: str, names: Sequence[str]) -> str:
    return ' or '.join(prefix + name for name in names)
