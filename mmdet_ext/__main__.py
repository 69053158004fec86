"""Run a shipped tool by its name, or list the tools and configs.

python -m mmdet_ext                            list our tools
python -m mmdet_ext TOOL ARGUMENT ...          run one, e.g. train CONFIG
python -m mmdet_ext mmdet:                     list mmdet's tools
python -m mmdet_ext mmdet:TOOL ARGUMENT ...    run one
python -m mmdet_ext configs [mmdet:][PATTERN]  list configs
"""

import sys

from mmdet_ext.utils.errors import clear_errors
from mmdet_ext.utils.shipped_tools import (
    OURS,
    describe,
    find_tool,
    list_shipped_configs,
    list_tools,
    run_script,
)


def main() -> None:
    """Do what the command line says."""
    name, *arguments = sys.argv[1:] or ['--help']
    script = None
    with clear_errors():
        if name in ('-h', '--help'):
            print(__doc__)
            _print_tools(OURS)
        elif name == 'configs':
            _print_configs(arguments)
        elif name.endswith(':'):
            _print_tools(name[:-1])
        else:
            script = find_tool(name)
    if script:  # which has its own way with errors
        run_script(script, arguments)


def _print_tools(package: str) -> None:
    tools = list_tools(package)
    width = max(map(len, tools))
    for name, file in tools.items():
        print(f'{name:{width}}  {describe(file)}'.rstrip())


def _print_configs(arguments: list[str]) -> None:
    if len(arguments) > 1:
        raise ValueError(f'configs takes one pattern, not {len(arguments)}: quote one with a star.')
    pattern = ''.join(arguments)
    found = list_shipped_configs(pattern)
    if not found:
        raise ValueError(
            f'no config matches {pattern}: `python -m mmdet_ext configs` lists ours, '
            '`python -m mmdet_ext configs mmdet:` those of mmdet.'
        )
    print(*found, sep='\n')


if __name__ == '__main__':
    main()
