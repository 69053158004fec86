"""Pictures of pipeline results: labels found at every stage and drawn where they are."""

import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import PackDetInputs
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mmdet_ext.datasets.transforms import PackParkingSlotInputs
from mmdet_ext.visualization.pipeline_results import (
    IGNORED_COLOUR,
    Labels,
    draw_labels,
    image_of,
    labels_of,
    legend_of,
    palette_of,
    variants_of,
)

META = dict(classes=('car', 'van'), palette=[(0, 200, 0), (200, 0, 0)])
PARKING_META = dict(
    classes=('perpendicular', 'parallel', 'slanted'),
    palette=[(64, 170, 255), (255, 170, 40), (190, 90, 255)],
)


def slot_results():
    return dict(
        img=np.full((80, 100, 3), 90, np.uint8),
        img_shape=(80, 100),
        gt_corners=np.array([[[20.0, 60], [50, 60], [50, 10], [20, 10]]]),
        gt_bboxes_labels=np.array([1]),
        gt_occupied=np.array([0]),
        gt_points=np.array([[20.0, 60], [50, 60]]),
        gt_directions=np.array([[0.0, -1], [0, 0]]),
        gt_has_direction=np.array([True, False]),
        gt_shapes=np.array([1, -1]),
    )


def box_results():
    masks = np.zeros((2, 80, 100), np.uint8)
    masks[0, 10:20, 10:30] = 1
    return dict(
        img=np.full((80, 100, 3), 90, np.uint8),
        gt_bboxes=HorizontalBoxes(torch.tensor([[10.0, 10, 30, 20], [40, 40, 60, 60]])),
        gt_bboxes_labels=np.array([1, 0]),
        gt_ignore_flags=np.array([False, True]),
        gt_masks=BitmapMasks(masks, 80, 100),
    )


@pytest.mark.parametrize('packed', [False, True])
def test_slots_and_points_are_found_before_and_after_packing(packed):
    results = slot_results()
    labels = labels_of(PackParkingSlotInputs()(results) if packed else results)
    np.testing.assert_array_equal(labels.corners, slot_results()['gt_corners'])
    np.testing.assert_array_equal(labels.points, [[20, 60], [50, 60]])
    np.testing.assert_array_equal(labels.directions, [[0, -1], [0, 0]])
    assert (labels.slot_types.tolist(), labels.occupied.tolist()) == ([1], [0])
    assert labels.shapes.tolist() == [1, -1]
    assert labels.counts() == '1 slot, 2 points'


@pytest.mark.parametrize('packed', [False, True])
def test_boxes_and_masks_are_found_before_and_after_packing(packed):
    results = box_results()
    labels = labels_of(PackDetInputs(meta_keys=())(results) if packed else results)
    np.testing.assert_array_equal(labels.boxes, [[10, 10, 30, 20], [40, 40, 60, 60]])
    assert labels.box_labels.tolist() == [1, 0]
    assert labels.ignored.tolist() == [False, True]
    assert labels.masks.sum((1, 2)).tolist() == [200, 0]
    assert labels.counts() == '2 boxes, 2 masks'


def test_polygon_masks_are_masks_too():
    square = [np.array([10.0, 10, 30, 10, 30, 20, 10, 20])]
    labels = labels_of(box_results() | dict(gt_masks=PolygonMasks([square, square], 80, 100)))
    assert labels.masks.shape == (2, 80, 100)
    assert labels.masks[0, 15, 20] == 1


def test_before_annotations_are_loaded_there_are_none():
    labels = labels_of(dict(img=np.zeros((8, 8, 3), np.uint8)))
    assert labels.counts() == ''
    assert legend_of([labels], META) == []


def test_branches_and_test_time_variants_are_told_apart():
    images = torch.zeros(3, 4, 4), torch.ones(3, 4, 4)
    branches = variants_of(
        dict(
            inputs=dict(sup=None, teacher=images[0], student=images[1]),
            data_samples=dict(sup=None, teacher='a', student='b'),
        )
    )
    assert list(branches) == ['teacher', 'student']
    assert branches['student']['data_samples'] == 'b'
    assert branches['student']['inputs'] is images[1]
    variants = variants_of(dict(inputs=list(images), data_samples=['a', 'b']))
    assert {name: each['data_samples'] for name, each in variants.items()} == {'1': 'a', '2': 'b'}
    single = dict(inputs=images[0], data_samples='a')
    assert variants_of(single) == {'': single}


def test_pictures_are_rgb_whatever_the_stage_made_of_them():
    bgr = np.zeros((4, 6, 3), np.uint8)
    bgr[..., 0] = 200
    blue = np.broadcast_to([0, 0, 200], (4, 6, 3))
    np.testing.assert_array_equal(image_of(dict(img=bgr)), blue)
    packed = torch.from_numpy(bgr).permute(2, 0, 1)
    np.testing.assert_array_equal(image_of(dict(inputs=packed)), blue)
    np.testing.assert_array_equal(image_of(dict(img=bgr.astype(np.float32) + 0.2)), blue)
    assert image_of(dict(img_path='x.jpg')) is None


def test_float_pixels_out_of_range_are_clipped_and_normalised_ones_stretched():
    clipped = image_of(dict(img=np.array([[[-20.0] * 3, [280.0] * 3]])))
    assert clipped[0, :, 0].tolist() == [0, 255]
    stretched = image_of(dict(img=np.array([[[-2.0] * 3, [0.0] * 3, [2.0] * 3]])))
    assert stretched[0, :, 0].tolist() == [0, 128, 255]


def test_grey_pictures_get_three_channels_and_further_channels_are_left_out():
    assert image_of(dict(img=np.full((4, 6), 7, np.uint8))).tolist() == [[[7] * 3] * 6] * 4
    assert image_of(dict(img=np.zeros((4, 6, 5), np.uint8))).shape == (4, 6, 3)


@pytest.mark.parametrize('scale', [0.5, 1, 3])
def test_points_are_drawn_where_they_are_at_any_scale(scale):
    labels = Labels(
        points=np.array([[40.0, 20]]), directions=np.zeros((1, 2)), shapes=np.array([-1])
    )
    drawn = draw_labels(np.full((80, 100, 3), 90, np.uint8), labels, PARKING_META, scale)
    assert drawn.shape == (80 * scale, 100 * scale, 3)
    yellow = (drawn.astype(int) @ [1, 1, -2]).clip(0)  # 0 on grey
    rows, columns = np.indices(yellow.shape)
    centre = [(yellow * columns).sum() / yellow.sum(), (yellow * rows).sum() / yellow.sum()]
    # The centre of pixel 40 is 40.5 pixel widths from the border.
    np.testing.assert_allclose(centre, [40.5 * scale - 0.5, 20.5 * scale - 0.5], atol=0.13)


def test_the_entrance_of_an_enlarged_slot_is_white_and_its_inside_of_its_type():
    drawn = draw_labels(slot_results()['img'], labels_of(slot_results()), PARKING_META, 2)
    assert (drawn[121, 60:90] == 255).all()  # (60 + 0.5) * 2 - 0.5 = 120.5
    assert not (drawn[21, 60:90] == 255).all(-1).any()
    tint = np.multiply((255, 170, 40), 0.35) + 0.65 * 90
    np.testing.assert_allclose(drawn[40, 60], tint, atol=1)
    assert (drawn[40, 130] == 90).all()


def test_the_direction_points_into_the_slot_and_the_letter_stands_behind():
    drawn = draw_labels(slot_results()['img'], labels_of(slot_results()), PARKING_META, 2)
    x, y = 40, 121
    yellow = (drawn[..., :2] > 150).all(-1) & (drawn[..., 2] < 100)  # anti-aliased
    assert yellow[y - 14 : y - 5, x].all()
    assert yellow[y + 5 : y + 20, x - 6 : x + 7].sum() > 10
    assert not yellow[y - 14 : y - 6, x + 60].any()  # unknown direction, no arrow


def test_ignored_boxes_are_grey_and_others_of_their_class():
    drawn = draw_labels(box_results()['img'], labels_of(box_results()), META)
    np.testing.assert_allclose(drawn[20, 20], (200, 0, 0), atol=20)  # anti-aliased
    np.testing.assert_allclose(drawn[60, 50], IGNORED_COLOUR, atol=20)


def test_the_legend_counts_what_is_drawn():
    entries = {text: n for text, n, _ in legend_of([labels_of(slot_results())] * 3, PARKING_META)}
    assert entries == {
        'parallel': 3,
        'entrance of a slot': 3,
        'P: free': 3,
        'marking point, direction, shape': 6,
    }
    entries = legend_of([labels_of(box_results())], META)
    assert entries == [
        ('car', 1, (0, 200, 0)),
        ('van', 1, (200, 0, 0)),
        ('ignored', 1, IGNORED_COLOUR),
    ]


def test_classes_beyond_the_dataset_and_palettes_too_short_do_not_break_the_drawing():
    labels = Labels(
        boxes=np.array([[1.0, 1, 9, 9]]), box_labels=np.array([7]), ignored=np.array([False])
    )
    assert [text for text, _, _ in legend_of([labels], META)] == ['class 7']
    assert draw_labels(np.zeros((20, 20, 3), np.uint8), labels, META).any()
    assert len(palette_of(dict(classes=tuple('abcd'), palette=[(1, 2, 3)]))) == 4
    assert len(palette_of({})) == 1
