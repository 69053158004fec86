"""What the readers of four-cornered slots share: order, what is left out, types, names, files."""

import numpy as np
import pytest

from mmdet_ext.datasets.formats.drawn_shapes import nearest_points
from mmdet_ext.datasets.formats.label_files import (
    locate_image,
    read_json,
    read_text,
    split_name,
    split_of_folder,
)
from mmdet_ext.datasets.formats.parking_slot_coco import (
    HIDDEN,
    SLOT_TYPES,
    VISIBLE,
    ParkingImage,
    write_parking_slot_coco,
)
from mmdet_ext.datasets.formats.quadrilaterals import (
    Quadrilateral,
    QuadrilateralReader,
    border_flags,
    checked_slots,
    guess_slot_type,
    label_kinds,
    scale_to_image,
)
from mmdet_ext.datasets.formats.reader import LeftOut, ReadReport
from mmdet_ext.datasets.formats.slot_names import (
    Meaning,
    attribute_meaning,
    meaning_of,
    read_names,
    shape_of,
)
from mmdet_ext.structures.slots import assemble_corners, interior_angle, separator_direction

SIZE = (200, 300)
# Entered from below: the driver looks up, p1 on the left, p2 on the right.
UPRIGHT = np.array([[50.0, 200], [100, 200], [100, 80], [50, 80]])
PERPENDICULAR, PARALLEL, SLANTED = range(3)


def check(*corners, **kwargs):
    report = ReadReport()
    slots = [Quadrilateral(np.array(c, dtype=float), **kwargs) for c in corners]
    return checked_slots(slots, SIZE, report, 'a.txt'), dict(report.counts)


def test_a_slot_in_order_stays_as_it_is():
    fields, counts = check(UPRIGHT, slot_type=SLANTED, occupied=1)
    np.testing.assert_array_equal(fields['corners'], [UPRIGHT])
    assert interior_angle(fields['corners'][0]) == pytest.approx(np.pi / 2)
    assert fields['slot_types'].tolist() == [SLANTED]
    assert fields['occupied'].tolist() == [1]
    assert fields['slot_points'].tolist() == [[-1, -1]]
    assert (fields['corner_visible'] == VISIBLE).all()
    assert counts == {}


def test_a_clockwise_slot_keeps_its_entrance_and_turns_anticlockwise():
    fields, counts = check(UPRIGHT[[1, 0, 3, 2]], slot_type=0)
    np.testing.assert_array_equal(fields['corners'], [UPRIGHT])
    assert counts == {'clockwise slot re-ordered': 1}


@pytest.mark.parametrize('order', [(0, 1, 3, 2), (1, 0, 2, 3)])
def test_crossing_separators_are_uncrossed_and_the_entrance_is_kept(order):
    fields, counts = check(UPRIGHT[list(order)], slot_type=0)
    np.testing.assert_array_equal(fields['corners'], [UPRIGHT])
    assert counts['slot with crossing separators re-ordered'] == 1


@pytest.mark.parametrize('seed', range(5))
def test_any_slanted_slot_comes_out_well_ordered_however_it_is_mirrored(seed):
    rng = np.random.default_rng(seed)
    p1, entrance = rng.uniform(80, 120, 2), rng.normal(size=2) * 40
    direction = separator_direction(entrance, rng.uniform(0.7, 2.4))
    slot = assemble_corners(p1, p1 + entrance, direction, np.array(60.0))
    for labelled in (slot, slot[[1, 0, 3, 2]], slot[[0, 1, 3, 2]], slot[[1, 0, 2, 3]]):
        fields, _ = check(labelled, slot_type=2)
        np.testing.assert_allclose(fields['corners'], [slot])


@pytest.mark.parametrize(
    ('corners', 'reason'),
    [
        ([[50, 200], [np.nan, 200], [100, 80], [50, 80]], 'coordinate that is no finite number'),
        ([[50, 200], [np.inf, 200], [100, 80], [50, 80]], 'coordinate that is no finite number'),
        ([[50, 200], [50, 200], [100, 80], [50, 80]], 'degenerate slot'),
        ([[50, 200], [100, 200], [120, 200], [60, 200]], 'degenerate slot'),
        ([[50, 50], [100, 100], [100, 50], [50, 100]], 'slot with crossing edges'),
        ([[250, 200], [300, 200], [300, 80], [250, 80]], 'slot outside the image'),
        ([[-50, 200], [0, 200], [0, 80], [-50, 80]], 'slot outside the image'),
    ],
)
def test_what_is_no_slot_is_left_out_and_counted_and_the_others_are_kept(corners, reason):
    fields, counts = check(corners, UPRIGHT, slot_type=0)
    np.testing.assert_array_equal(fields['corners'], [UPRIGHT])
    ((key, number),) = counts.items()
    assert reason in key
    assert key.endswith('left out')
    assert number == 1


def test_what_checked_slots_keeps_the_writer_takes(tmp_path):
    touching = UPRIGHT + np.array([120, -198.5])  # reaches 1.5 pixels into the image
    outside = UPRIGHT + np.array([0, -199.99])
    triangle = [[50, 200], [100, 200], [80, 80], [80, 80]]
    fields, counts = check(touching, outside, triangle, slot_type=0)
    assert len(fields['corners']) == 2
    assert counts == {'slot outside the image left out': 1}
    write_parking_slot_coco(
        tmp_path / 'a.json', [ParkingImage('a.jpg', *SIZE, **fields)], ['slots']
    )


def test_corners_outside_the_image_are_kept_and_hidden():
    fields, _ = check(UPRIGHT - [0, 100], slot_type=0)
    np.testing.assert_array_equal(fields['corners'], [UPRIGHT - [0, 100]])
    assert fields['corner_visible'].tolist() == [[VISIBLE, VISIBLE, HIDDEN, HIDDEN]]


@pytest.mark.parametrize('missing', range(4))
def test_a_single_unlabelled_corner_is_completed_to_a_parallelogram(missing):
    slot = assemble_corners(
        np.array([50.0, 200]), np.array([100.0, 190]), np.array([0.6, -0.8]), np.array(100.0)
    )
    labelled, flags = slot.copy(), np.full(4, VISIBLE)
    labelled[missing], flags[missing] = 0, 0
    fields, counts = check(labelled, flags=flags, slot_type=2)
    np.testing.assert_allclose(fields['corners'], [slot])
    assert fields['corner_visible'][0, missing] == HIDDEN
    assert (fields['corner_visible'] == VISIBLE).sum() == 3
    assert counts == {'slot with one corner unlabelled completed to a parallelogram': 1}


def test_two_unlabelled_corners_are_one_too_many():
    fields, counts = check(UPRIGHT, flags=np.array([2, 2, 0, 0]))
    assert fields['corners'].shape == (0, 4, 2)
    assert counts == {'slot with several corners unlabelled left out': 1}


def slot_of(entrance, depth, degrees):
    v = np.array([float(entrance), 0])
    s = separator_direction(v, np.deg2rad(degrees))
    return assemble_corners(np.zeros(2), v, s, np.array(float(depth)))


@pytest.mark.parametrize(
    ('entrance', 'depth', 'degrees', 'expected'),
    [
        (150, 300, 90, PERPENDICULAR),
        (350, 120, 90, PARALLEL),
        (150, 300, 76, PERPENDICULAR),
        (150, 300, 74, SLANTED),
        (150, 300, 106, SLANTED),
        (350, 120, 45, SLANTED),
    ],
)
def test_the_type_is_guessed_from_entrance_depth_and_angle(entrance, depth, degrees, expected):
    assert guess_slot_type(slot_of(entrance, depth, degrees)) == expected


def test_a_known_resolution_tells_a_cut_off_perpendicular_slot_from_a_parallel_one():
    cut_off = slot_of(150, 60, 90)  # 2.5 m wide at 1/60 m per pixel
    assert guess_slot_type(cut_off) == PARALLEL
    assert guess_slot_type(cut_off, 1 / 60) == PERPENDICULAR
    assert guess_slot_type(slot_of(300, 320, 90), 1 / 60) == PARALLEL


def test_guessed_types_are_counted():
    fields, counts = check(UPRIGHT, UPRIGHT + 10)
    assert fields['slot_types'].tolist() == [PERPENDICULAR, PERPENDICULAR]
    assert counts == {'slot type guessed from the shape': 2}


def test_labels_of_another_frame_are_scaled_about_pixel_centres():
    points = np.array([[0.0, 0.0], [199, 599]])
    scaled = scale_to_image(points, (200, 600), (100, 300))
    np.testing.assert_allclose(scaled, [[-0.25, -0.25], [99.25, 299.25]])
    for frame in (None, (100, 300), (0, 600)):
        np.testing.assert_array_equal(scale_to_image(points, frame, (100, 300)), points)


def test_only_rear_corners_on_the_border_are_cut_off():
    corners = np.array([[0.0, 10], [20, 299], [199, 20], [100, 30]])
    assert border_flags(corners, SIZE).tolist() == [VISIBLE, VISIBLE, HIDDEN, VISIBLE]


@pytest.mark.parametrize(
    ('text', 'slot_type', 'occupied'),
    [
        ('Parallel', 'parallel', -1),
        ('perpendicular_occupied', 'perpendicular', 1),
        ('VacantSlot', None, 0),
        ('diagonal, not occupied', 'slanted', 0),
        ('non-vacant', None, 1),
        ('occupied vacant', None, -1),
        ('parallel or slanted', None, -1),
        ('parking space 3', None, -1),
        ('unoccupied', None, 0),
    ],
)
def test_the_words_of_a_label_say_type_and_occupancy(text, slot_type, occupied):
    expected = None if slot_type is None else SLOT_TYPES.index(slot_type)
    assert meaning_of(text) == Meaning(expected, occupied)


@pytest.mark.parametrize('text', ['car', '', '7', 'no parking', 'not parallel'])
def test_other_words_name_no_slot(text):
    assert meaning_of(text) is None


def test_attributes_say_more_than_labels():
    label = Meaning(PARALLEL, -1)
    said = attribute_meaning([('occupied', False), ('colour', 'white')])
    assert label.refined(said) == Meaning(PARALLEL, 0)
    assert label.refined(attribute_meaning([('type', 'slanted'), ('is occupied', '1')])) == (2, 1)
    assert label.refined(attribute_meaning([])) == label


@pytest.mark.parametrize(
    ('text', 'shape'),
    [('T', 0), ('l-shape', 1), ('mark I', 2), ('other', 4), ('TL', -1), ('T L', -1)],
)
def test_the_shape_of_a_mark_is_a_word_of_its_label(text, shape):
    assert shape_of(text) == shape


def test_names_are_given_as_mapping_or_as_texts():
    expected = {'a': 'parallel', 'parkingplace:3': 'slot', 'x': 'ignore'}
    assert read_names({'A': 'parallel', 'parking place:3': 'slot', 'x': 'ignore'}) == expected
    assert read_names(['A:parallel', 'parkingplace:3:slot', 'x:ignore']) == expected
    assert read_names('A:parallel') == {'a': 'parallel'}


@pytest.mark.parametrize('names', [{'A': 'car'}, 'parallel', [':parallel'], 'A:'])
def test_names_that_mean_nothing_are_one_clear_sentence(names):
    with pytest.raises(ValueError, match=r'Option `names` has .* expected LABEL:WORDS'):
        read_names(names)


class Reader(QuadrilateralReader):
    def find(self, report):
        return []

    def read(self, item, report):
        raise NotImplementedError


@pytest.mark.parametrize(('entrance', 'first'), [(1, 0), (2, 1), (3, 2), (4, 3), ('nearest', 0)])
def test_the_entrance_is_moved_to_the_front(tmp_path, entrance, first):
    reader = Reader(tmp_path, entrance=entrance)
    # The lower edge, between the first two corners, is the nearest to the centre of the image.
    slot = reader.quadrilateral(UPRIGHT - [0, 60], Meaning(), (150, 400), np.array([2, 1, 0, 7]))
    np.testing.assert_array_equal(slot.corners[0], (UPRIGHT - [0, 60])[first])
    np.testing.assert_array_equal(slot.corners[1], (UPRIGHT - [0, 60])[(first + 1) % 4])
    assert slot.flags[0] == [2, 1, 0, 2][first]


def test_an_unknown_entrance_is_one_clear_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"Option `entrance` is 'left'; expected 1, 2, 3 or 4"):
        Reader(tmp_path, entrance='left')


def test_labels_are_complete_in_what_the_records_have():
    point = {'points': np.zeros((1, 2)), 'directions': np.full((1, 2), np.nan)}
    slots = ParkingImage('a', 9, 9, **check(UPRIGHT, slot_type=0)[0])
    known = ParkingImage('a', 9, 9, **check(UPRIGHT, slot_type=0, occupied=0)[0])
    shaped = ParkingImage('a', 9, 9, shapes=np.array([0]), **point)
    unshaped = ParkingImage('a', 9, 9, shapes=np.array([-1]), **point)
    assert label_kinds([slots]) == ['slots']
    assert label_kinds([slots, known]) == ['slots', 'occupancy']
    assert label_kinds([slots, shaped]) == ['marking_points', 'shapes', 'slots']
    assert label_kinds([shaped, unshaped]) == ['marking_points', 'slots']


def test_a_corner_hangs_on_the_nearest_point_within_the_radius():
    points = np.array([[0.0, 0], [10, 0]])
    corners = np.array([[[1.0, 0], [8, 0]], [[5.1, 0], [50, 0]]])
    assert nearest_points(corners, points, 5).tolist() == [[0, 1], [1, -1]]
    assert nearest_points(corners, np.zeros((0, 2)), 5).tolist() == [[-1, -1], [-1, -1]]


def test_texts_are_read_with_a_byte_order_mark_and_in_latin_1(tmp_path):
    (tmp_path / 'bom').write_bytes('\ufeff1\r\n'.encode())
    (tmp_path / 'latin').write_bytes('Stra\xdfe'.encode('latin-1'))
    assert read_text(tmp_path / 'bom').split() == ['1']
    assert read_text(tmp_path / 'latin') == 'Straße'


def test_broken_json_leaves_one_file_out(tmp_path):
    (tmp_path / 'a.json').write_text('{"a": 1')
    with pytest.raises(LeftOut, match='broken json'):
        read_json(tmp_path / 'a.json')


def test_splits_are_read_from_words_and_folders():
    assert split_name('person_keypoints_train2017') == 'train'
    assert split_name('Validation') == 'val'
    assert split_name('contest') is None
    assert split_of_folder('a/valid/b') == 'val'
    assert split_of_folder('images/train2017') == 'train'
    assert split_of_folder('a/test drive/b') is None


def test_images_are_found_by_names_of_other_machines(tmp_path):
    (tmp_path / 'sub').mkdir()
    for name in ('sub/a.jpg', 'a.jpg'):
        (tmp_path / name).touch()
    assert locate_image(['sub\\a.jpg'], [tmp_path]) == tmp_path / 'sub/a.jpg'
    assert locate_image(['C:\\data\\a.jpg'], [tmp_path / 'sub', tmp_path]) == tmp_path / 'sub/a.jpg'
    with pytest.raises(LeftOut, match=r"label without image: 'b.jpg' is not in"):
        locate_image(['b.jpg', ''], [tmp_path])
