"""Pictures of slots and marking points: what is drawn where, and that it can be read."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmdet_ext.structures.marking_points import SHAPES
from mmdet_ext.structures.predictions import ParkingSlotPredictions
from mmdet_ext.visualization.drawing import (
    HIDDEN_COLOUR,
    POINT_COLOUR,
    draw_hidden_corners,
    draw_points,
    draw_predictions,
    draw_signs,
    draw_slots,
    draw_truth,
)
from mmdet_ext.visualization.lettering import FREE_COLOUR, OCCUPIED_COLOUR

CLASSES = ('perpendicular', 'parallel', 'slanted')
PALETTE = [(0, 200, 0), (200, 0, 0), (0, 0, 200)]
SLOT = np.array([[100.0, 400], [200, 400], [200, 150], [100, 150]])
T = SHAPES.index('T')


def grey(height=512, width=512):
    return np.full((height, width, 3), 90, np.uint8)


def found(slots=(), points=(), scores=None, occupied=0.1, directions=None, shapes=None):
    slots = np.array(slots, float).reshape(-1, 4, 2)
    points = np.array(points, float).reshape(-1, 2)
    return ParkingSlotPredictions(
        corners=slots,
        labels=np.zeros(len(slots), int),
        scores=np.full(len(slots), 0.9) if scores is None else np.array(scores),
        occupied_scores=np.full(len(slots), occupied),
        points=points,
        point_scores=np.full(len(points), 0.8),
        directions=directions,
        shapes=shapes,
    )


def draw(image, predictions, metres_per_pixel=None):
    return draw_predictions(image, predictions, CLASSES, PALETTE, metres_per_pixel)


def is_colour(image, colour):
    return (image == colour).all(-1)


def centre_of(mask):
    rows, columns = np.nonzero(mask)
    return [columns.mean(), rows.mean()]


def test_free_slots_are_tinted_inside_and_untouched_outside():
    drawn = draw_slots(grey(), SLOT[None], [0], [0], PALETTE)
    tint = np.multiply(PALETTE[0], 0.35) + np.multiply(90, 0.65)
    np.testing.assert_allclose(drawn[160:390, 110:190] - tint, 0, atol=1)
    outside = np.ones((512, 512), bool)
    outside[145:406, 95:206] = False
    assert (drawn[outside] == 90).all()


def test_occupied_slots_are_striped_so_that_no_colour_is_needed_to_tell_them():
    unknown, taken = (draw_slots(grey(), SLOT[None], [0], [o], PALETTE) for o in (-1, 1))
    inside = np.s_[160:390, 110:190]
    tinted = (taken[inside] != 90).any(-1)
    assert tinted.mean() == pytest.approx(1 / 3, abs=0.02)
    np.testing.assert_array_equal(taken[inside][tinted], unknown[inside][tinted])


def test_the_entrance_alone_is_white():
    drawn = draw_slots(grey(), SLOT[None], [0], [0], PALETTE)
    assert (drawn[399:402, 110:190] == 255).all()
    assert not (drawn[:390] == 255).all(-1).any()


def test_corners_far_outside_do_not_break_the_drawing():
    far = SLOT + np.array([[0, 0], [0, 0], [1e7, 0], [0, -1e7]])
    drawn = draw(grey(), found([far]))
    assert (drawn[399:402, 110:190] == 255).all()


@pytest.mark.parametrize(('occupied', 'colour'), [(0, FREE_COLOUR), (1, OCCUPIED_COLOUR)])
def test_signs_stand_in_the_middle_of_their_slots(occupied, colour):
    drawn = draw_signs(grey(), SLOT[None], [occupied])
    np.testing.assert_allclose(centre_of(is_colour(drawn, colour)), [150, 275], atol=1)


def test_of_slots_that_may_be_free_or_not_only_the_score_is_written():
    assert (draw_signs(grey(), SLOT[None], [-1]) == 90).all()
    drawn = draw_signs(grey(), SLOT[None], [-1], np.array([0.97]))
    np.testing.assert_allclose(centre_of((drawn != 90).any(-1)), [150, 275], atol=1)


def test_the_sign_of_a_slot_that_leaves_the_image_stands_in_its_visible_part():
    drawn = draw_signs(grey(), SLOT[None] - (0, 250), [0])  # rows -100 to 150
    np.testing.assert_allclose(centre_of(is_colour(drawn, FREE_COLOUR)), [150, 75], atol=7)


def test_signs_of_slots_on_top_of_each_other_all_stay_readable():
    one = is_colour(draw_signs(grey(), SLOT[None], [0], np.array([0.97])), FREE_COLOUR).sum()
    five = draw_signs(grey(), SLOT[None].repeat(5, 0), [0] * 5, np.full(5, 0.97))
    assert is_colour(five, FREE_COLOUR).sum() == 5 * one


def test_a_sign_gives_up_its_score_and_then_itself_before_it_covers_an_entrance():
    narrow = np.array([[100.0, 400], [128, 400], [128, 100], [100, 100]])
    left = [[98, 100], [98, 400], [60, 400], [60, 100]]  # their entrances beside it
    right = [[130, 400], [130, 100], [170, 100], [170, 400]]
    slots, scores = np.array([narrow, left, right]), np.array([0.97, np.nan, np.nan])
    drawn = draw_signs(grey(), slots, [0, -1, -1], scores)
    bare = draw_signs(grey(), narrow[None], [0])
    np.testing.assert_array_equal(drawn, bare)
    flat = np.array([[100.0, 400], [200, 400], [200, 390], [100, 390]])
    assert (draw_signs(grey(), flat[None], [0], np.array([0.97])) == 90).all()


def test_points_are_circles_at_their_place():
    drawn = draw_points(grey(), np.array([[120.0, 200]]))
    np.testing.assert_allclose(centre_of(is_colour(drawn, POINT_COLOUR)), [120, 200], atol=0.3)
    changed = np.argwhere((drawn != 90).any(-1)) - (200, 120)
    assert np.linalg.norm(changed, axis=1).max() < 8


def test_an_arrow_shows_the_direction_and_the_letter_of_the_shape_stands_behind():
    place, right = np.array([[120.0, 200]]), np.array([[1.0, 0]])
    arrow = (draw_points(grey(), place, right) != 90).any(-1)
    assert arrow[200, 120:140].all()
    assert not arrow[:, :112].any()
    both = (draw_points(grey(), place, right, np.array([T])) != 90).any(-1)
    letter = both & ~arrow
    assert letter.sum() > 30
    assert not letter[:, 114:].any()


def test_unknown_directions_and_shapes_leave_the_circle_alone():
    place, unknown = np.array([[120.0, 200]]), np.zeros((1, 2))
    drawn = draw_points(grey(), place, unknown, np.array([-1]))
    np.testing.assert_array_equal(drawn, draw_points(grey(), place))


def test_hidden_corners_get_a_cross_at_their_place():
    drawn = draw_hidden_corners(grey(), np.array([[33.0, 44]]))
    assert tuple(drawn[44, 33]) == HIDDEN_COLOUR
    assert (drawn[44, 60:] == 90).all()


@pytest.mark.parametrize(
    ('size', 'factor'), [((300, 96), 3), ((96, 300), 3), ((255, 400), 2), ((256, 256), 1)]
)
def test_small_images_are_enlarged_by_a_whole_number(size, factor):
    drawn = draw(grey(*size), found(points=[[40, 50]]))
    assert drawn.shape == (size[0] * factor, size[1] * factor, 3)
    # The centre of pixel 40 is 40.5 pixel widths from the border.
    ring = is_colour(drawn, POINT_COLOUR)[:, : 41 * factor + 3]  # without the score on the right
    np.testing.assert_allclose(centre_of(ring)[1], 50.5 * factor - 0.5, atol=0.3)
    left = np.nonzero(ring)[1].min()
    assert 40.5 * factor - 8 < left < 40.5 * factor - 3


def test_a_picture_without_finds_is_the_image_and_no_view_of_it():
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype(np.uint8)
    drawn = draw(image, found())
    np.testing.assert_array_equal(drawn, image)
    assert not np.shares_memory(drawn, image)


def test_slots_and_points_without_finite_coordinates_are_left_out():
    broken = found([SLOT, SLOT * np.nan], [[50, 60], [np.inf, 60]])
    np.testing.assert_array_equal(draw(grey(), broken), draw(grey(), found([SLOT], [[50, 60]])))


def test_points_have_scores_only_where_no_shapes_were_trained():
    place, direction = [[120, 200]], np.array([[1.0, 0]])
    alone = draw(grey(), found(points=place))
    with_shape = draw(grey(), found((), place, None, 0.1, direction, np.array([-1])))
    written = np.argwhere((alone != 90).any(-1))
    assert written[:, 1].max() > 120 + 20  # to the right of the circle
    np.testing.assert_array_equal(with_shape, draw_points(grey(), np.array(place), direction))


def test_truth_looks_like_a_prediction_without_scores():
    points, directions = np.array([[100.0, 400]]), np.array([[0.0, -1]])
    shapes = np.array([T])
    prediction = draw(grey(), found([SLOT], points, None, 0.9, directions, shapes), 0.02)
    truth = draw_truth(
        grey(),
        CLASSES,
        PALETTE,
        corners=SLOT[None],
        labels=np.array([0]),
        occupied=np.array([1]),
        points=points,
        directions=directions,
        shapes=shapes,
        metres_per_pixel=0.02,
    )
    rows, columns = np.nonzero((truth != prediction).any(-1))
    assert len(rows) > 50
    assert np.abs(rows - 275).max() <= 10  # inside the sign
    assert np.abs(columns - 150).max() <= 30


def test_truth_of_unknown_occupancy_is_filled_and_has_no_sign():
    unknown = draw_truth(
        grey(),
        CLASSES,
        PALETTE,
        corners=SLOT[None],
        labels=np.array([0]),
        occupied=np.array([-1]),
        points=np.zeros((0, 2)),
        directions=np.zeros((0, 2)),
        shapes=np.zeros(0, int),
    )
    plain = draw_slots(grey(), SLOT[None], [0], [-1], PALETTE)
    np.testing.assert_array_equal(unknown[140:], plain[140:])  # below the legend


@pytest.mark.parametrize(
    ('side', 'metres_per_pixel', 'length'),
    [
        (512, 0.02, 100),  # 2 m; a third of the picture is 3.4 m
        (512, 0.05, 100),  # 5 m of 8.5 m
        (128, 0.04, 50),  # enlarged to 256 pixels of 2 cm: 1 m of 1.7 m
    ],
)
def test_the_scale_bar_is_as_long_as_it_says(side, metres_per_pixel, length):
    drawn = draw(grey(side, side), found(), metres_per_pixel)
    rows = (drawn > 230).all(-1).sum(1)
    assert rows.max() == pytest.approx(length, abs=1)
    assert np.argmax(rows) > 0.9 * len(drawn)  # below


def test_there_is_no_scale_bar_without_a_scale_nor_where_a_metre_is_too_long():
    assert (draw(grey(), found()) == 90).all()
    assert (draw(grey(), found(), 0.001) == 90).all()


def test_the_scale_bar_moves_away_from_slots_that_stand_in_its_corner():
    corner = np.add(SLOT, (250, 100))
    drawn = draw(grey(), found([corner]), 0.02)
    plate = (drawn != 90).any(-1)[480:500]
    assert plate[:, 10:100].all()  # in the lower left corner


def test_the_legend_explains_every_type_where_a_slot_is_drawn_and_a_corner_is_free():
    for colour in PALETTE:
        assert not is_colour(draw(grey(), found(points=[[50, 60]])), colour).any()
    drawn = draw(grey(), found([np.add(SLOT, (200, 0))]))
    for colour in PALETTE[1:]:  # of types that are not in the picture
        assert centre_of(is_colour(drawn, colour))[0] < 40
    whole = draw(grey(), found([[[2, 510], [510, 510], [510, 2], [2, 2]]]))
    assert not is_colour(whole, PALETTE[1]).any()


def test_palettes_too_short_are_repeated():
    two = ParkingSlotPredictions(**vars(found([SLOT])) | dict(labels=np.array([1])))
    drawn = draw_predictions(grey(), two, CLASSES, PALETTE[:1])
    np.testing.assert_array_equal(
        drawn, draw_predictions(grey(), found([SLOT]), CLASSES, PALETTE[:1])
    )


def test_drawing_needs_neither_torch_nor_mmdet():
    folder = Path(__file__).parents[2] / 'mmdet_ext/visualization'
    code = (
        'import sys, types\n'
        "sys.modules |= dict.fromkeys(('torch', 'torchvision', 'mmcv', 'mmengine', 'mmdet'))\n"
        "package = types.ModuleType('mmdet_ext.visualization')\n"
        f'package.__path__ = [{str(folder)!r}]\n'
        "sys.modules['mmdet_ext.visualization'] = package\n"
        'from mmdet_ext.visualization.drawing import draw_predictions\n'
    )
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True, cwd=folder.parents[1])
