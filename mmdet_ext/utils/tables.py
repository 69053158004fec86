"""Tables to print."""

from collections.abc import Iterable

from rich.box import MARKDOWN
from rich.table import Table


def table_of(columns: Iterable[tuple[str, str]], markdown: bool = False) -> Table:
    """Begin a table whose columns keep their lines whole.

    Args:
        columns: Headings, each with ``left`` or ``right``.
        markdown: As Markdown, instead of for a terminal.

    Returns:
        A table without rows.
    """
    table = Table(box=MARKDOWN) if markdown else Table()
    for heading, side in columns:
        table.add_column(heading, justify=side, no_wrap=True)
    return table
