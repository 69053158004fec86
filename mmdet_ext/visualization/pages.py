"""Pages of contact sheets: rows of pictures under a title, with headings and a legend."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from .montage import text_block, tile
from .pipeline_results import Labels, legend_of

PAGE = (1800, 2000)
"""Width and height in pixels that a page is filled to."""

_LEGEND_WIDTH = 290


@dataclass
class Row:
    """One row of a page.

    Attributes:
        cells: Pictures with their captions, RGB, uint8, each ``(h, w, 3)``.
        labels: What is drawn in them, for the legend.
        headings: One per column; rows with other headings come on another page.
        title: Second line of the page's title.
    """

    cells: list[np.ndarray]
    labels: list[Labels]
    headings: tuple[str, ...] = ()
    title: str = ''


def in_rows(singles: Iterable[Row], columns: int | None = None) -> Iterator[Row]:
    """Put rows of one cell beside each other.

    Args:
        singles: Each with one cell.
        columns: Cells in a row; by default as many as a page is wide.

    Yields:
        The same cells in fewer rows.
    """
    row: list[Row] = []
    for single in singles:
        widest = max(each.cells[0].shape[1] for each in [*row, single])
        if row and len(row) >= (columns or PAGE[0] // widest):
            yield _joined(row)
            row = []
        row.append(single)
    if row:
        yield _joined(row)


def _joined(row: list[Row]) -> Row:
    return Row(
        [cell for each in row for cell in each.cells],
        [labels for each in row for labels in each.labels],
    )


def paged(rows: Iterable[Row], most: int | None = None) -> Iterator[list[Row]]:
    """Put rows below each other until a page is full.

    Args:
        rows: From top to bottom.
        most: Rows on a page; by default as many as a page is high.

    Yields:
        Rows of one page, all with the same headings.
    """
    for _, same in groupby(rows, lambda row: row.headings):
        page: list[Row] = []
        for row in same:
            height = sum(max(cell.shape[0] for cell in each.cells) for each in [*page, row])
            if page and (len(page) == most if most else height > PAGE[1]):
                yield page
                page = []
            page.append(row)
        yield page


def draw_page(
    rows: list[Row], title: Sequence[str], metainfo: Mapping[str, Any], counted: bool = False
) -> np.ndarray:
    """Picture of a page.

    Args:
        rows: Its rows, all with the same headings and, the last one apart, as many cells.
        title: Lines above them.
        metainfo: Of the dataset, whose classes the legend names.
        counted: Say in the legend how many of each there are.

    Returns:
        RGB, uint8, shape ``(H, W, 3)``.
    """
    columns = max(len(row.cells) for row in rows)
    cells = [cell for row in rows for cell in row.cells]
    if rows[0].headings:
        widths = [max(row.cells[k].shape[1] for row in rows) for k in range(columns)]
        headings = zip(rows[0].headings, widths, strict=True)
        cells = [*(text_block([name], width) for name, width in headings), *cells]
    grid = tile(cells, columns)
    width = max(grid.shape[1], 3 * _LEGEND_WIDTH)
    parts = [text_block(title, width, size=16), grid]
    shown = {id(labels): labels for row in rows for labels in row.labels}
    legend = [
        text_block([f'{text} ({n})' if counted else text], _LEGEND_WIDTH, colours=[colour])
        for text, n, colour in legend_of(list(shown.values()), metainfo)
    ]
    if legend:
        parts.append(tile(legend, max(1, width // _LEGEND_WIDTH)))
    return tile(parts, 1)
