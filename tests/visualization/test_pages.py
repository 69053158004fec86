"""Pages: which rows and cells go where."""

import numpy as np

from mmdet_ext.visualization.pages import PAGE, Row, draw_page, in_rows, paged
from mmdet_ext.visualization.pipeline_results import Labels


def row(height=100, width=100, headings=()):
    return Row([np.full((height, width, 3), 7, np.uint8)], [], headings)


def test_a_row_takes_as_many_cells_as_fit_into_the_width():
    cells = [row(width=PAGE[0] // 4)] * 10
    assert [len(each.cells) for each in in_rows(cells)] == [4, 4, 2]
    assert [len(each.cells) for each in in_rows(cells, columns=7)] == [7, 3]


def test_a_cell_wider_than_a_page_gets_a_row_of_its_own():
    assert [len(each.cells) for each in in_rows([row(width=2 * PAGE[0])] * 2)] == [1, 1]


def test_a_page_takes_as_many_rows_as_fit_into_the_height():
    rows = [row(height=PAGE[1] // 3)] * 7
    assert [len(page) for page in paged(rows)] == [3, 3, 1]
    assert [len(page) for page in paged(rows, most=2)] == [2, 2, 2, 1]


def test_rows_with_other_headings_start_another_page():
    rows = [row(headings=('a',)), row(headings=('a',)), row(headings=('b',))]
    assert [[each.headings for each in page] for page in paged(rows)] == [
        [('a',), ('a',)],
        [('b',)],
    ]


def test_a_page_holds_every_cell_once_below_title_and_headings():
    cells = [np.full((50, 60, 3), 200 + k, np.uint8) for k in range(4)]
    rows = [Row(cells[:2], [], ('first', 'second')), Row(cells[2:], [], ('first', 'second'))]
    page = draw_page(rows, ['title'], {})
    tops = []
    for k in range(4):
        found = np.argwhere((page == 200 + k).all(-1))
        inside = found[(found[:, 0] > 60)]
        assert len(inside) >= 3000
        tops.append(np.median(inside, 0).tolist())
    (y0, x0), (y1, x1), (y2, x2), _ = tops
    assert y0 == y1 < y2
    assert x0 == x2 < x1


def test_the_legend_says_how_many_only_where_asked_to():
    labels = Labels(points=np.zeros((3, 2)), directions=np.zeros((3, 2)), shapes=-np.ones(3, int))
    rows = [Row(row().cells, [labels])]
    counted, bare = (draw_page(rows, ['t'], {}, counted) for counted in (True, False))
    assert counted.shape == bare.shape
    assert (counted != bare).any()
    assert draw_page([row()], ['t'], {}).shape[0] < bare.shape[0]  # nothing to explain
