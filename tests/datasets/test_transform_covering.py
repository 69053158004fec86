"""Erasing, cutout and grids: what is covered, and what becomes of the labels under it."""

import numpy as np
import pytest
from mmengine.runner import set_random_seed
from transform_scenes import box_results, build, empty_results, empty_slots, slot_results

from mmdet_ext.datasets.transforms.covering import covered_fractions, fill_rectangles

COVERING = ('DetRandomErasing', 'DetCutOut', 'DetGridMask')


def fixed(kind, rectangles, **options):
    """The transform with given rectangles."""
    transform = build(dict(type=kind, prob=1.0, **options))
    transform.random_rectangles = lambda height, width: np.array(rectangles)
    return transform


def test_erased_areas_and_shapes_follow_the_paper():
    """Area U(0.02, 0.1) and aspect U(0.3, 1 / 0.3), of rectangles small enough to always fit."""
    erasing = build(dict(type='DetRandomErasing', prob=1.0, area=(0.02, 0.1)))
    set_random_seed(0)
    drawn = np.concatenate([erasing.random_rectangles(400, 500) for _ in range(4000)])
    assert len(drawn) == 4000
    width, height = (drawn[:, 2:] - drawn[:, :2]).T
    quarters = [0, 0.25, 0.5, 0.75, 1]
    areas, aspects = width * height / (400 * 500), height / width
    np.testing.assert_allclose(
        np.quantile(areas, quarters), np.quantile([0.02, 0.1], quarters), atol=3e-3
    )
    np.testing.assert_allclose(
        np.quantile(aspects, quarters), np.quantile([0.3, 1 / 0.3], quarters), atol=0.1
    )
    assert drawn.min() >= 0
    assert (drawn[:, 2].max(), drawn[:, 3].max()) == (500, 400)
    middle = (drawn[:, :2] + drawn[:, 2:]).mean(0) / 2
    np.testing.assert_allclose(middle, (250, 200), atol=5)


def test_erasing_happens_with_its_probability():
    erasing = build(dict(type='DetRandomErasing', prob=0.3))
    set_random_seed(0)
    share = np.mean([len(erasing.random_rectangles(100, 100)) for _ in range(3000)])
    assert share == pytest.approx(0.3, abs=0.03)


def test_nothing_is_erased_when_no_rectangle_fits():
    erasing = build(dict(type='DetRandomErasing', prob=1.0, area=(1.0, 1.0)))
    results = erasing(box_results())
    np.testing.assert_array_equal(results['img'], box_results()['img'])


def test_a_grid_mask_covers_its_share_with_squares_a_unit_apart():
    grid = build(dict(type='DetGridMask', prob=1.0, unit=(40, 40), keep=0.6, fill=0))
    set_random_seed(0)
    shares = []
    for _ in range(50):
        image = np.ones((400, 400), np.uint8)
        fill_rectangles(image, grid.random_rectangles(400, 400), 0)
        np.testing.assert_array_equal(image[:360], image[40:])
        np.testing.assert_array_equal(image[:, :360], image[:, 40:])
        shares.append(1 - image.mean())
    assert np.mean(shares) == pytest.approx(0.4**2)


def test_cutouts_are_centred_on_pixels_of_the_image_and_cut_at_its_border():
    cut_out = build(dict(type='DetCutOut', holes=3, size=(20, 10)))
    set_random_seed(0)
    drawn = np.concatenate([cut_out.random_rectangles(60, 80) for _ in range(500)])
    assert len(drawn) == 1500
    assert drawn.min() == 0
    assert (drawn[:, 2].max(), drawn[:, 3].max()) == (80, 60)
    width, height = (drawn[:, 2:] - drawn[:, :2]).T
    assert (width.max(), height.max()) == (20, 10)
    assert width.min() == 10  # half of it at the left border


@pytest.mark.parametrize('kind', COVERING)
def test_exactly_the_rectangles_are_filled(kind):
    results = fixed(kind, [[10, 20, 40, 50], [100, 0, 160, 30]], fill=(1, 2, 3))(box_results())
    expected = box_results()['img']
    expected[20:50, 10:40] = expected[0:30, 100:160] = (1, 2, 3)
    np.testing.assert_array_equal(results['img'], expected)


@pytest.mark.parametrize(
    ('dtype', 'high'), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 255.0)]
)
def test_noise_fills_the_range_of_the_pixels(dtype, high):
    image = np.zeros((200, 300), dtype)
    fill_rectangles(image, np.array([[0, 0, 300, 150]]), 'random')
    assert image.dtype == dtype
    assert image[150:].max() == 0
    np.testing.assert_allclose(
        np.quantile(image[:150], [0.25, 0.5, 0.75]) / high, [0.25, 0.5, 0.75], atol=0.01
    )


@pytest.mark.parametrize('kind', COVERING)
def test_labels_stay_unless_told_otherwise(kind):
    results = fixed(kind, [[0, 0, 160, 128]])(slot_results())
    assert len(results['gt_corners']) == 4
    assert len(results['gt_points']) == 7
    results = fixed(kind, [[0, 0, 160, 128]])(box_results())
    assert len(results['gt_bboxes']) == 3


def test_boxes_covered_by_more_than_the_fraction_are_dropped():
    """Boxes 10-50 x 20-60, 70-90 x 8-100 and 100-155 x 90-120."""
    half = [[10, 20, 30, 60], [20, 20, 31, 60]]  # overlapping: 21 of 40 columns of the first box
    assert covered_fractions(box_results(), np.array(half)) == pytest.approx([21 / 40, 0, 0])
    kept = fixed('DetCutOut', half, drop_covered=0.53)(box_results())
    assert kept['gt_bboxes_labels'].tolist() == [0, 1, 2]
    dropped = fixed('DetCutOut', half, drop_covered=0.52)(box_results())
    assert dropped['gt_bboxes_labels'].tolist() == [1, 2]
    assert (
        len(dropped['gt_masks']) == len(dropped['gt_keypoints']) == len(dropped['gt_bboxes']) == 2
    )


@pytest.mark.parametrize('polygons', [False, True])
def test_masks_lose_what_is_covered_and_keypoints_are_hidden(polygons):
    results = fixed('DetRandomErasing', [[0, 0, 30, 128]])(box_results(polygons))
    assert results['gt_masks'].masks.sum((1, 2)).tolist() == [20 * 40, 20 * 92, 55 * 30]
    assert results['gt_seg_map'][:, :30].min() == 255
    assert results['gt_seg_map'][:, 30:].max() == 3
    np.testing.assert_array_equal(results['gt_keypoints'][..., 2], [[1, 2], [2, 2], [2, 2]])


def test_covered_marking_points_are_dropped_with_the_links_to_them():
    """The first slot hangs on points 0 and 1; the entrance of the second is free."""
    cover = [[15, 105, 25, 115]]
    results = fixed('DetCutOut', cover, drop_covered_points=True)(slot_results())
    assert len(results['gt_points']) == len(results['gt_directions']) == 6
    assert results['gt_slot_points'].tolist() == [[-1, 0], [1, 2], [3, 4], [4, 5]]
    assert len(results['gt_corners']) == 4


def test_slots_are_judged_by_their_visible_part():
    results = slot_results()
    results['gt_corners'][3] = [
        [80, 100],
        [40, 100],
        [40, 156],
        [80, 156],
    ]  # half outside, p1 p2 order
    covered = covered_fractions(results, np.array([[40, 100, 60, 128]]))
    assert covered[3] == pytest.approx(19.5 / 40)  # pixel edges of the slot: 40.5 to 80.5
    assert covered[2] == 0


@pytest.mark.parametrize('kind', COVERING)
@pytest.mark.parametrize('make', [empty_results, empty_slots])
def test_pictures_without_labels_pass(kind, make):
    results = fixed(kind, [[0, 0, 20, 20]], drop_covered=0.5, drop_covered_points=True)(make())
    assert results['img'][30, 30].tolist() == make()['img'][30, 30].tolist()


def test_a_fill_with_the_wrong_number_of_channels_is_named():
    with pytest.raises(ValueError, match=r'`fill` has 3 values, the image 1 channel\(s\)'):
        fixed('DetCutOut', [[0, 0, 5, 5]], fill=(1, 2, 3))({'img': np.zeros((9, 9), np.uint8)})


@pytest.mark.parametrize(
    ('cfg', 'message'),
    [
        (dict(type='DetRandomErasing', prob=2), r'`prob` is 2; expected a number from 0 to 1'),
        (
            dict(type='DetRandomErasing', area=(0.5, 0.1)),
            r'`area` is \(0.5, 0.1\); expected a range',
        ),
        (dict(type='DetCutOut', fill='noise'), r"`fill` is 'noise'; expected a number"),
        (dict(type='DetCutOut', size=0), r'`size` is 0; expected \(width, height\)'),
        (dict(type='DetGridMask', unit=96), r'`unit` is 96; expected a range'),
    ],
)
def test_an_option_out_of_range_is_named(cfg, message):
    with pytest.raises(ValueError, match=message):
        build(cfg)
