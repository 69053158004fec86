"""What the formats with marks and slots share: rows of numbers, full slots, frames and files."""

from collections import Counter

import numpy as np
import pytest
from scipy.io import savemat

from mmdet_ext.datasets.formats.label_files import read_text
from mmdet_ext.datasets.formats.marks_and_slots import (
    NO_SLOTS,
    Labels,
    Slots,
    arms,
    labels_in_image,
    load_json,
    load_label,
    load_mat,
    mean_separators,
    number_rows,
    read_slots,
    shape_labels,
    slot_corners,
    split_of,
    stems_below,
)
from mmdet_ext.datasets.formats.parking_slot_coco import SLOT_TYPES
from mmdet_ext.datasets.formats.reader import LeftOut

FRAME = (600, 600)
MARKS = np.array([[100.0, 400.0], [250.0, 400.0], [100.0, 100.0], [np.nan, np.nan], [100.0, 400.0]])


@pytest.fixture
def noted():
    return Counter()


@pytest.fixture
def note(noted):
    def add(reason, detail=''):
        noted[reason] += 1

    return add


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ([1, 2], [[1, 2]]),
        (np.array([1.5, 2]), [[1.5, 2]]),
        (np.array([[7, 9]], np.uint8), [[7, 9]]),
        ([], np.zeros((0, 2))),
        (np.zeros((0, 0)), np.zeros((0, 2))),
        (np.zeros((0, 2)), np.zeros((0, 2))),
        (np.zeros((1, 0)), np.zeros((0, 2))),
    ],
)
def test_a_collapsed_row_is_one_row_and_an_empty_array_is_none(value, expected, note, noted):
    np.testing.assert_array_equal(number_rows(value, 2, 'mark', note), expected)
    assert not noted


def test_rows_that_cannot_be_read_keep_their_place(note, noted):
    value = [
        [1, 2],
        [3],
        None,
        ['4', 5],
        [float('nan'), 6],
        [10**400, 7],
        [[8], 9],
        [1, 2, 3],
        [10, 11],
    ]
    rows = number_rows(value, 2, 'mark', note)
    np.testing.assert_array_equal(rows[[0, 8]], [[1, 2], [10, 11]])
    assert np.isnan(rows[1:8]).all()
    assert noted == {'mark that is not 2 finite numbers left out': 7}


def test_rows_may_be_longer_where_the_format_allows_it(note, noted):
    np.testing.assert_array_equal(
        number_rows([[1, 2, 3], [4, 5]], 2, 'mark', note, more=True), [[1, 2], [4, 5]]
    )
    assert not noted


@pytest.mark.parametrize('value', [None, 'x', 3, {'a': [1, 2]}])
def test_what_is_no_list_cannot_be_rows(value, note):
    with pytest.raises(LeftOut, match='marks that are no list of rows'):
        number_rows(value, 2, 'mark', note)


def test_shapes_other_than_t_and_l_are_unknown(note, noted):
    assert shape_labels(np.array([0, 1, 2, np.nan]), note).tolist() == [0, 1, -1, -1]
    assert noted == {'mark whose shape is neither 0 nor 1 (shape unknown)': 1}


def test_a_second_point_on_the_mark_gives_no_direction(note, noted):
    points = np.array([[1.0, 1], [2, 2], [np.nan, np.nan]])
    vectors = arms(points, np.array([[4.0, 5], [2, 2], [np.nan, np.nan]]), note)
    np.testing.assert_array_equal(vectors, [[3, 4], [np.nan] * 2, [np.nan] * 2])
    assert noted == {'mark whose second point is the first (direction unknown)': 1}


@pytest.mark.parametrize(
    ('p2', 'angle', 'slanted', 'p3', 'p4', 'slot_type'),
    [
        # The entrance runs to the right, so the slot lies above it (y points down).
        ((250, 400), 90, False, (250, 120), (100, 120), 'perpendicular'),
        ((350, 400), 90, False, (350, 280), (100, 280), 'parallel'),
        ((250, 400), 60, True, (411.658, 120), (261.658, 120), 'slanted'),  # 280 / tan 60 = 161.658
        ((250, 400), 120, True, (88.342, 120), (-61.658, 120), 'slanted'),
        (
            (100, 250),
            90,
            False,
            (-180, 250),
            (-180, 400),
            'perpendicular',
        ),  # up: it lies to the left
    ],
)
def test_a_slot_is_completed_as_the_label_tool_draws_it(p2, angle, slanted, p3, p4, slot_type):
    p1, p2 = np.array([100.0, 400.0]), np.array(p2, float)
    corners, label = slot_corners(p1, p2, angle, slanted, pixels=1)
    np.testing.assert_allclose(corners, [p1, p2, p3, p4], atol=1e-3)
    assert SLOT_TYPES[label] == slot_type


def test_the_separator_is_the_entrance_turned_back_by_the_angle():
    rng = np.random.default_rng(0)
    for p1, p2, angle in zip(
        *rng.uniform(0, 600, (2, 50, 2)), rng.uniform(30, 150, 50), strict=True
    ):
        corners, _ = slot_corners(p1, p2, angle, True, pixels=1)
        for start, end in ((0, 3), (1, 2)):
            dx, dy = corners[end] - corners[start]
            vx, vy = p2 - p1
            turn = np.degrees(np.arctan2(vy, vx) - np.arctan2(dy, dx)) % 360
            assert turn == pytest.approx(angle)
            assert np.hypot(dx, dy) == pytest.approx(280 / np.sin(np.radians(angle)))


@pytest.mark.parametrize(('length', 'slot_type', 'depth'), [(107, 0, 140), (109, 1, 60)])
def test_lengths_are_of_600_pixels_of_height(length, slot_type, depth):
    corners, label = slot_corners(np.zeros(2), np.array([length, 0.0]), 90, False, pixels=0.5)
    assert label == slot_type
    np.testing.assert_allclose(corners[2:], [[length, -depth], [0, -depth]], atol=1e-9)


def test_slots_name_marks_from_one_on(note, noted):
    slots = read_slots([1, 2, 1, 90], MARKS, FRAME, note)
    np.testing.assert_allclose(slots.corners, [[[100, 400], [250, 400], [250, 120], [100, 120]]])
    assert (slots.ends.tolist(), slots.types.tolist()) == ([[0, 1]], [0])
    assert not noted


@pytest.mark.parametrize(
    ('row', 'reason'),
    [
        ([0, 2, 1, 90], 'slot naming a mark that there is not left out'),
        ([1, 6, 1, 90], 'slot naming a mark that there is not left out'),
        ([1, 1.5, 1, 90], 'slot naming a mark that there is not left out'),
        ([1, 4, 1, 90], 'slot on an unreadable mark left out'),
        ([1, 1, 1, 90], 'slot with both ends at one place left out'),
        ([1, 5, 1, 90], 'slot with both ends at one place left out'),
        ([1, 2, 2, 0], 'slot with an angle outside 0 to 180 degrees left out'),
        ([1, 2, 3, 180], 'slot with an angle outside 0 to 180 degrees left out'),
        ([3, 2, 1, 90], 'slot given twice left out'),
        ([1, 2, 1], 'slot that is not 4 finite numbers left out'),
        ([1, 2, 1, float('nan')], 'slot that is not 4 finite numbers left out'),
    ],
)
def test_a_slot_that_cannot_be_used_is_left_out_and_the_others_stay(row, reason, note, noted):
    slots = read_slots([[3, 2, 1, 90], row, [3, 1, 1, 90]], MARKS, FRAME, note)
    assert slots.ends.tolist() == [[2, 1], [2, 0]]
    assert noted == {reason: 1}


@pytest.mark.parametrize(
    ('kind', 'angle', 'expected', 'slot_type', 'reason'),
    [
        (1, 90, 90, 'perpendicular', None),
        (1, 88, 88, 'perpendicular', None),
        (2, 60, 60, 'slanted', None),
        (3, 120, 120, 'slanted', None),
        (3, 60, 120, 'slanted', 'slot of type 3 with an acute angle (read as 180 - angle)'),
        (2, 120, 120, 'slanted', 'slot of type 2 with an obtuse angle (kept)'),
        (1, 0, 90, 'perpendicular', 'slot without an angle (read as 90 degrees)'),
        (
            1,
            45,
            45,
            'slanted',
            'slot whose type is unknown or denies its angle (the angle decides)',
        ),
        (
            0,
            90,
            90,
            'perpendicular',
            'slot whose type is unknown or denies its angle (the angle decides)',
        ),
    ],
)
def test_type_and_angle_say_what_is_slanted(kind, angle, expected, slot_type, reason, note, noted):
    slots = read_slots([[1, 2, kind, angle]], MARKS, FRAME, note)
    separator = slots.corners[0, 3] - slots.corners[0, 0]
    assert np.degrees(np.arctan2(-separator[1], separator[0])) == pytest.approx(expected)
    assert SLOT_TYPES[slots.types[0]] == slot_type
    assert noted == ({reason: 1} if reason else {})


def quad(p1, p2, separator):
    p1, p2, separator = (np.array(v, float) for v in (p1, p2, separator))
    return [p1, p2, p2 + separator, p1 + separator]


def test_a_mark_points_along_the_mean_separator_of_its_slots(note, noted):
    corners = [
        quad((0, 0), (10, 0), (0, -50)),
        quad((10, 0), (20, 0), (30, -40)),  # twice as long: lengths do not count
        quad((40, 0), (50, 0), (0, -9)),
        quad((60, 0), (50, 0), (9, 9)),  # 135 degrees from the one before
    ]
    slots = Slots(np.array(corners), np.zeros(4), np.array([[0, 1], [1, 2], [3, 4], [5, 4]]))
    directions = mean_separators(7, slots, note)
    angles = np.degrees(np.arctan2(-directions[:, 1], directions[:, 0]))
    between = (90 + np.degrees(np.arctan2(40, 30))) / 2
    np.testing.assert_allclose(
        angles, [90, between, np.degrees(np.arctan2(40, 30)), 90, np.nan, -45, np.nan]
    )
    assert noted == {'mark with slots on opposite sides (direction unknown)': 1}


def test_labels_come_out_in_the_pixels_of_the_file(note, noted):
    slots = Slots(np.array([quad((0, 99), (99, 99), (0, -40))]), np.array([1]), np.array([[0, 1]]))
    labels = Labels(
        np.array([[0.0, 99], [99, 99]]),
        np.array([[3.0, 4], [np.nan, np.nan]]),
        np.array([1, -1]),
        slots,
    )
    fields = labels_in_image(labels, (100, 100), (200, 50), note)
    # Label pixel 0 is file pixels 0 and 1 across, whose centres are 0 and 1.
    np.testing.assert_allclose(fields['points'], [[0.5, 49.25], [198.5, 49.25]])
    np.testing.assert_allclose(
        fields['corners'], [[[0.5, 49.25], [198.5, 49.25], [198.5, 29.25], [0.5, 29.25]]]
    )
    np.testing.assert_allclose(fields['directions'][0], np.array([6, 2]) / np.sqrt(40))
    assert np.isnan(fields['directions'][1]).all()
    assert fields['shapes'].tolist() == [1, -1]
    assert fields['slot_points'].tolist() == [[0, 1]]
    assert fields['occupied'].tolist() == [-1]
    assert not noted


def test_what_lies_outside_the_image_is_left_out_and_links_follow(note, noted):
    corners = [
        quad((-5, 50), (30, 50), (0, -20)),
        quad((30, 50), (60, 50), (0, -20)),
        quad((-5, 50), (-60, 50), (0, 30)),
    ]
    slots = Slots(np.array(corners), np.array([0, 1, 2]), np.array([[0, 1], [1, 2], [0, 3]]))
    points = np.array([[-5.0, 50], [30, 50], [60, 50], [-60, 50], [np.nan, np.nan], [99.5, -0.5]])
    labels = Labels(points, np.ones((6, 2)), np.arange(6), slots)
    fields = labels_in_image(labels, (100, 100), (100, 100), note)
    np.testing.assert_array_equal(fields['points'], [[30, 50], [60, 50], [99.5, -0.5]])
    assert fields['shapes'].tolist() == [1, 2, 5]
    assert fields['slot_points'].tolist() == [[-1, 0], [0, 1]]
    assert fields['slot_types'].tolist() == [0, 1]
    assert noted == {'point outside the image left out': 2, 'slot outside the image left out': 1}


def test_an_image_without_labels_has_empty_arrays(note):
    empty = Labels(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, int), NO_SLOTS)
    fields = labels_in_image(empty, FRAME, FRAME, note)
    assert {name: value.shape for name, value in fields.items()} == {
        'points': (0, 2),
        'directions': (0, 2),
        'shapes': (0,),
        'corners': (0, 4, 2),
        'slot_types': (0,),
        'occupied': (0,),
        'slot_points': (0, 2),
    }


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'latin-1'])
def test_text_of_any_usual_encoding_is_read(tmp_path, encoding):
    path = tmp_path / 'label.json'
    path.write_bytes('{"place": "Stra\u00dfe",\r\n"marks": []}'.encode(encoding))
    assert load_json(path) == {'place': 'Stra\u00dfe', 'marks': []}
    assert read_text(path).startswith('{')


@pytest.mark.parametrize('content', ['', '{"marks": [', '[' * 100_000])
def test_broken_json_leaves_the_image_out(tmp_path, content):
    (tmp_path / 'label.json').write_text(content)
    with pytest.raises(LeftOut, match='broken JSON'):
        load_json(tmp_path / 'label.json')


@pytest.mark.parametrize(
    ('content', 'found'), [('{"marks": []}', "'marks'"), ('[[1, 2]]', 'a list for an object')]
)
def test_json_without_marks_and_slots_says_what_it_has(tmp_path, content, found):
    (tmp_path / 'label.json').write_text(content)
    with pytest.raises(LeftOut, match=found):
        load_label(tmp_path / 'label.json')


def test_a_mat_file_without_slots_says_what_it_has(tmp_path):
    savemat(tmp_path / 'label.mat', {'marks': [[1, 2]]})
    with pytest.raises(LeftOut, match=r"found \['marks'\]"):
        load_mat(tmp_path / 'label.mat')


@pytest.mark.parametrize('cut', [0, 3, 130, 200])
def test_a_damaged_mat_file_leaves_the_image_out(tmp_path, cut):
    path = tmp_path / 'label.mat'
    savemat(path, {'marks': np.ones((9, 2)), 'slots': np.ones((4, 4))})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(LeftOut, match='mat file that cannot be read'):
        load_mat(path)


def test_a_root_that_is_one_split_gives_the_split_too(tmp_path):
    (tmp_path / 'train/deep').mkdir(parents=True)
    (tmp_path / 'train/deep/a.json').touch()
    splits = {'train': 'train', 'test': 'test'}
    for root in (tmp_path, tmp_path / 'train'):
        (stem,) = stems_below(root, ('.json',), splits)
        assert (stem, split_of(stem, splits)) == ('train/deep/a', 'train')
    (stem,) = stems_below(tmp_path / 'train/deep', ('.json',), splits)
    assert (stem, split_of(stem, splits)) == ('a', None)
