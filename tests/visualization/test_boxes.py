"""Boxes, masks and texts: what is drawn where."""

import numpy as np

from mmdet_ext.visualization.boxes import draw_boxes, draw_masks, draw_texts

RED, BLUE = (255, 0, 0), (0, 0, 255)


def grey():
    return np.full((100, 100, 3), 90, np.uint8)


def test_boxes_are_outlined_on_their_edges_only():
    drawn = draw_boxes(grey(), np.array([[10.0, 20, 40, 70]]), [RED])
    coloured = drawn[..., 0] > 200  # lines are anti-aliased
    expected = np.zeros((100, 100), bool)
    expected[20:71, 10:41] = True
    expected[21:70, 11:40] = False
    np.testing.assert_array_equal(coloured, expected)


def test_masks_tint_their_pixels_and_no_others():
    mask = np.zeros((1, 100, 100), bool)
    mask[0, 30:50, 60:80] = True
    drawn = draw_masks(grey(), mask, [RED], opacity=0.4)
    np.testing.assert_array_equal(drawn[40, 70], [156, 54, 54])  # 0.6 * 90 + 0.4 * (255, 0, 0)
    assert (drawn[~mask[0]] == 90).all()


def test_masks_of_another_size_are_stretched_over_the_image():
    mask = np.zeros((1, 10, 10), np.uint8)
    mask[0, 3, 6] = 1
    drawn = draw_masks(grey(), mask, [BLUE])
    rows, columns = np.nonzero((drawn != 90).any(-1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (30, 39, 60, 69)


def test_texts_are_dark_on_light_plates_and_light_on_dark_ones():
    places = np.array([[10.0, 10], [10, 50]])
    drawn = draw_texts(grey(), ['T', 'T'], places, [(255, 255, 0), (0, 0, 80)])
    light, dark = drawn[10:23, 10:18], drawn[50:63, 10:18]
    assert (light == (255, 255, 0)).all(-1).mean() > 0.5
    assert light.sum(-1).min() < 100
    assert (dark == (0, 0, 80)).all(-1).mean() > 0.5
    assert dark.sum(-1).max() > 600


def test_texts_at_the_border_are_moved_into_the_image():
    drawn = draw_texts(grey(), ['T'], np.array([[98.0, -30]]), [RED])
    rows, columns = np.nonzero((drawn == RED).all(-1))
    assert rows.min() == 0
    assert columns.max() in (98, 99)
    assert columns.max() - columns.min() >= 7
