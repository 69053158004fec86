"""Contact sheets: what lies where, and text that stays inside its width."""

import numpy as np

from mmdet_ext.visualization.montage import (
    FONT_SIZE,
    INK,
    PAPER,
    captioned,
    side_by_side,
    text_block,
    tile,
)


def plain(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


def line_count(block, size=FONT_SIZE):
    return (block.shape[0] - 8) / round(size * 1.3)


def test_a_column_is_as_wide_as_its_widest_image_and_a_row_as_high_as_its_highest():
    sheet = tile([plain(10, 30, 1), plain(20, 5, 2), plain(7, 8, 3)], columns=2)
    assert sheet.shape == (4 + 20 + 4 + 7 + 4, 4 + 30 + 4 + 5 + 4, 3)
    assert (sheet[4:14, 4:34] == 1).all()
    assert (sheet[4:24, 38:43] == 2).all()
    assert (sheet[28:35, 4:12] == 3).all()
    np.testing.assert_array_equal([(sheet == k).sum() / 3 for k in (1, 2, 3)], [300, 100, 56])


def test_what_no_image_covers_is_grey():
    sheet = tile([plain(10, 10, 0)] * 3, columns=2)
    assert (sheet[18:, 18:] == PAPER).all()


def test_fewer_images_than_columns_leave_no_empty_columns():
    assert tile([plain(10, 10, 0)] * 2, columns=9).shape == (18, 32, 3)


def test_long_lines_are_wrapped_to_the_width_also_within_words():
    letters = (100 - 8) // 7.2  # DejaVu Sans Mono advances 0.6 of its size
    assert line_count(text_block(['x' * int(letters)], 100)) == 1
    assert line_count(text_block(['x' * int(letters + 1)], 100)) == 2
    block = text_block(['W' * 40], 100)
    assert (block[:, -4:] == PAPER).all()  # nothing runs over the margin


def test_text_beyond_the_most_lines_is_cut_off():
    assert line_count(text_block(['a', 'b', 'c', 'd'], 100, most=2)) == 2
    whole, cut = text_block(['a', 'b'], 100), text_block(['a', 'b', 'c'], 100, most=2)
    assert (whole[:, :20] != cut[:, :20]).any()  # the ellipsis


def test_no_text_makes_an_empty_block():
    assert (text_block([], 30) == PAPER).all()


def test_legend_lines_start_with_a_square_of_their_colour():
    block = text_block(['one', 'two'], 100, colours=[(255, 0, 0), None])
    assert tuple(block[4 + 6, 8]) == (255, 0, 0)
    assert not (block[4 + 16 :] == (255, 0, 0)).all(-1).any()


def test_a_caption_stands_under_its_untouched_image():
    image = plain(20, 60, 9)
    picture = captioned(image, ['name'])
    np.testing.assert_array_equal(picture[:20], image)
    assert picture.shape == (20 + 8 + 16, 60, 3)
    assert (picture[20:] == INK).all(-1).any()


def test_versions_of_a_wide_picture_go_below_each_other_and_of_a_high_one_beside():
    wide = side_by_side([plain(20, 200, 0)] * 3, [['a']] * 3)
    high = side_by_side([plain(200, 20, 0)] * 3, [['a']] * 3)
    assert wide.shape[1] == 4 + 204
    assert high.shape[1] > 3 * 20
