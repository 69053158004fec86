"""The table of recipes, ``configs/ext/README.md``, as rows."""

import re
from dataclasses import dataclass
from pathlib import Path

_HEADING = re.compile(r'^(#+) (.+?)\s*$')
_IDS = re.compile(r'<!--([^>]*)-->')
_SEPARATOR = re.compile(r'^\|[\s:|-]+\|$')
_CODE = re.compile(r'`([^`]+)`')
_LINK = re.compile(r'\]\((?!https?:)([^)#]+)\)')
_CFG_OPTIONS = '--cfg-options '


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        number: Its line in the file, from 1.
        group: Heading of the section that it is in.
        cells: Text of its cells.
        ids: Of the techniques that it answers.
        declined: Whether it says why something is not there.
    """

    number: int
    group: str
    cells: tuple[str, ...]
    ids: tuple[str, ...]
    declined: bool

    @property
    def text(self) -> str:
        """All cells."""
        return ' | '.join(self.cells)

    @property
    def links(self) -> list[str]:
        """Targets of its links, relative to the table's folder."""
        return _LINK.findall(self.text)

    @property
    def code(self) -> list[str]:
        """What stands in backticks."""
        return _CODE.findall(self.text)

    @property
    def variants(self) -> list[str]:
        """Values for ``--cfg-options`` that it offers for its first config."""
        return [
            code.removeprefix(_CFG_OPTIONS) for code in self.code if code.startswith(_CFG_OPTIONS)
        ]


@dataclass(frozen=True)
class Table:
    """All rows, the headings of the groups in their order, and the links of the text around them."""

    groups: tuple[str, ...]
    rows: tuple[Row, ...]
    links: tuple[str, ...]


def read_table(path: Path) -> Table:
    """Read the table.

    Args:
        path: A Markdown file with a ``## Group`` heading above each table; rows below a
            ``### Not here...`` heading say why something is not there.

    Returns:
        Its rows, without those of headings.
    """
    groups, rows, links, level_three = [], [], [], ''
    lines = path.read_text(encoding='utf-8').splitlines()
    for number, line in enumerate(lines, 1):
        heading = _HEADING.match(line)
        if heading:
            if heading[1] == '##':
                groups.append(heading[2])
            level_three = heading[2] if heading[1] == '###' else ''
        is_head = number < len(lines) and _SEPARATOR.match(lines[number])
        if not line.startswith('|') or is_head or _SEPARATOR.match(line):
            links += _LINK.findall(line)
            continue
        cells = tuple(cell.strip() for cell in re.split(r'(?<!\\)\|', line.strip())[1:-1])
        ids = tuple(id_ for text in _IDS.findall(line) for id_ in re.findall(r'\w+', text))
        group = groups[-1] if groups else ''
        rows.append(Row(number, group, cells, ids, level_three.startswith('Not here')))
    return Table(tuple(groups), tuple(rows), tuple(links))


def read_actions(path: Path) -> dict[str, str]:
    """Read the list of techniques that the table must answer.

    Args:
        path: A file of lines ``ID ACTION``.

    Returns:
        ``wire``, ``build``, ``wrap`` or ``doc`` by id.
    """
    return dict(line.split() for line in path.read_text(encoding='utf-8').splitlines())


def is_config(link: str) -> bool:
    """Whether a link leads to a config, not to a tool or a folder."""
    return link.endswith(('.py', '.yml')) and '../../tools' not in link


def recipe_files(folder: Path) -> list[Path]:
    """List the configs in a folder's ``recipes``, without those that others only inherit from.

    Args:
        folder: That the table's links start from.

    Returns:
        The files; names of those left out begin with ``_``.
    """
    files = sorted((folder / 'recipes').rglob('*'))
    return [file for file in files if is_config(file.name) and not file.name.startswith('_')]
