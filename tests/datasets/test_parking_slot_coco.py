"""The parking-slot COCO file: round trip, stock COCO fields, and one sentence per mistake."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from shapely import Polygon, box

from mmdet_ext.datasets.formats.parking_slot_coco import (
    LABEL_KINDS,
    ParkingImage,
    read_parking_slot_coco,
    write_parking_slot_coco,
)

INSIDE = [[10, 80], [40, 80], [40, 20], [10, 20]]
CUT_OFF = [[60, 80], [120, 80], [120, -40], [60, -40]]  # of a 100 x 90 image
SLANTED_CUT_OFF = [[70, 70], [110, 85], [150, 25], [110, 10]]


def example(**changes):
    fields = {
        'file_name': 'a/1.jpg',
        'width': 100,
        'height': 90,
        'points': np.array([[10.0, 80.0], [40.0, 80.0], [60.0, 80.0]]),
        'directions': np.array([[0.0, -1.0], [0.6, -0.8], [np.nan, np.nan]]),
        'shapes': np.array([0, 1, -1]),
        'corners': np.array([INSIDE, CUT_OFF, SLANTED_CUT_OFF], dtype=float),
        'slot_types': np.array([0, 1, 2]),
        'occupied': np.array([1, 0, -1]),
        'slot_points': np.array([[0, 1], [2, -1], [-1, -1]]),
        'metres_per_pixel': 0.02,
        'group': 'a',
        'condition': 'indoor',
        'tags': {'ground': 'epoxy', 'marking': 'worn'},
    }
    return ParkingImage(**fields | changes)


@pytest.fixture
def written(tmp_path):
    path = tmp_path / 'new folder/file.json'
    records = [ParkingImage('empty.jpg', 30, 20), example()]
    return path, write_parking_slot_coco(path, records, LABEL_KINDS, 'a test')


def test_records_come_back_as_they_were_written(written):
    content = read_parking_slot_coco(written[0])
    assert content.labels == LABEL_KINDS
    assert content.classes == ('perpendicular', 'parallel', 'slanted')
    empty, full = content.images
    assert (empty.file_name, empty.width, empty.height, empty.image_id) == ('empty.jpg', 30, 20, 0)
    assert empty.points.shape == (0, 2)
    assert empty.corners.shape == (0, 4, 2)
    assert empty.slot_points.shape == (0, 2)
    expected = example(image_id=1)
    for name, value in vars(expected).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(full, name), value, err_msg=name)
            assert getattr(full, name).dtype == value.dtype
        else:
            assert getattr(full, name) == value


@given(
    corners=st.lists(st.floats(-50, 150), min_size=8, max_size=8),
    direction=st.floats(0, 6.28),
)
@settings(max_examples=30)
def test_round_trip_keeps_three_decimals_of_pixels(tmp_path_factory, corners, direction):
    corners = np.reshape(corners, (1, 4, 2))
    shape = Polygon(corners[0])
    if not shape.is_valid or shape.intersection(box(0, 0, 100, 90)).area < 1:
        return
    record = ParkingImage(
        '1.jpg',
        100,
        90,
        points=corners[0, :1],
        directions=np.array([[np.cos(direction), np.sin(direction)]]),
        shapes=np.array([2]),
        corners=corners,
        slot_types=np.array([1]),
        occupied=np.array([-1]),
        slot_points=np.array([[0, 0]]),
    )
    path = tmp_path_factory.mktemp('round') / 'f.json'
    write_parking_slot_coco(path, [record], LABEL_KINDS)
    (back,) = read_parking_slot_coco(path).images
    np.testing.assert_allclose(back.corners, corners, atol=5.1e-4)
    np.testing.assert_allclose(back.directions, record.directions, atol=1e-5)


def test_segmentation_box_and_area_are_those_of_the_part_inside_the_image(written):
    for annotation, corners in zip(
        written[1]['annotations'], (INSIDE, CUT_OFF, SLANTED_CUT_OFF), strict=True
    ):
        visible = Polygon(corners).intersection(box(0, 0, 100, 90))
        x1, y1, x2, y2 = visible.bounds
        np.testing.assert_allclose(annotation['bbox'], [x1, y1, x2 - x1, y2 - y1], atol=1e-3)
        assert annotation['area'] == pytest.approx(visible.area, abs=0.01)
        (outline,) = annotation['segmentation']
        outline = Polygon(np.reshape(outline, (-1, 2)))
        assert outline.symmetric_difference(visible).area < 0.1


def test_a_concave_slot_that_the_border_cuts_in_two_has_two_outlines(tmp_path):
    arrow = np.array([[[-20, 45], [50, 80], [-10, 45], [50, 10]]], dtype=float)
    record = example(
        corners=arrow,
        slot_types=np.array([0]),
        occupied=np.array([-1]),
        slot_points=np.array([[-1, -1]]),
    )
    (annotation,) = write_parking_slot_coco(tmp_path / 'f.json', [record], LABEL_KINDS)[
        'annotations'
    ]
    assert len(annotation['segmentation']) == 2
    outlines = [Polygon(np.reshape(part, (-1, 2))) for part in annotation['segmentation']]
    assert sum(o.area for o in outlines) == pytest.approx(annotation['area'], rel=1e-3)


def test_keypoints_outside_the_image_keep_their_place_and_are_marked_as_not_visible(written):
    keypoints = np.reshape(written[1]['annotations'][1]['keypoints'], (4, 3))
    np.testing.assert_array_equal(keypoints[:, :2], CUT_OFF)
    assert keypoints[:, 2].tolist() == [2, 1, 1, 1]


def test_hidden_corners_are_labelled_keypoints_that_come_back_hidden(tmp_path):
    flags = np.array([[2, 1, 2, 2], [1, 1, 1, 1], [2, 2, 1, 1]])
    path = tmp_path / 'f.json'
    content = write_parking_slot_coco(path, [example(corner_visible=flags)], LABEL_KINDS)
    for annotation, row in zip(content['annotations'], flags, strict=True):
        assert annotation['keypoints'][2::3] == row.tolist()
        assert annotation['num_keypoints'] == 4  # COCO counts all that are labelled
    (back,) = read_parking_slot_coco(path).images
    np.testing.assert_array_equal(back.corner_visible, flags)


def test_without_a_word_corners_inside_the_image_are_visible():
    expected = [[2, 2, 2, 2], [2, 1, 1, 1], [2, 1, 1, 1]]
    assert example().corner_visible.tolist() == expected
    assert ParkingImage('empty.jpg', 30, 20).corner_visible.shape == (0, 4)


def test_stock_pycocotools_reads_the_file(written):
    coco = COCO(written[0])
    assert coco.getImgIds() == [0, 1]
    assert [c['name'] for c in coco.loadCats(coco.getCatIds())] == [
        'perpendicular',
        'parallel',
        'slanted',
    ]
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[1], iscrowd=False))
    assert [a['category_id'] for a in annotations] == [1, 2, 3]
    for annotation in annotations:
        assert coco.annToMask(annotation).sum() == pytest.approx(annotation['area'], rel=0.1)
    assert coco.getAnnIds(imgIds=[0]) == []


def test_a_slot_names_the_ids_of_its_points_in_the_whole_file(tmp_path):
    content = write_parking_slot_coco(
        tmp_path / 'f.json', [example(), example(file_name='2.jpg')], LABEL_KINDS
    )
    assert content['annotations'][3]['marking_point_ids'] == [3, 4]
    assert content['annotations'][4]['marking_point_ids'] == [5, None]
    assert 'marking_point_ids' not in content['annotations'][5]
    second = read_parking_slot_coco(tmp_path / 'f.json').images[1]
    assert second.slot_points[0].tolist() == [0, 1]


def test_labels_of_a_plain_coco_file_are_guessed_from_its_content(written):
    path, content = written
    del content['info']['labels'], content['marking_points']
    path.write_text(json.dumps(content))
    assert read_parking_slot_coco(path).labels == ('slots',)


def test_writing_a_slot_outside_its_image_is_refused(tmp_path):
    outside = example(corners=np.add([INSIDE, CUT_OFF, INSIDE], [200.0, 0.0]))
    with pytest.raises(ValueError, match=r'a/1\.jpg: slot 0 .* lies outside the 100 x 90 image'):
        write_parking_slot_coco(tmp_path / 'f.json', [outside], LABEL_KINDS)


def test_writing_an_unknown_kind_of_label_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"unknown label kinds \['lanes'\]; expected some of"):
        write_parking_slot_coco(tmp_path / 'f.json', [], ['lanes'])


def three_corners(content):
    del content['annotations'][1]['keypoints'][9:]


def nan_corner(content):
    content['annotations'][1]['keypoints'][3] = float('nan')


def text_corner(content):
    content['annotations'][1]['keypoints'][3] = '12'


def no_keypoints(content):
    del content['annotations'][1]['keypoints']


def nan_point(content):
    content['marking_points'][2]['point'][0] = float('nan')


def no_point(content):
    del content['marking_points'][2]['point']


def long_direction(content):
    content['marking_points'][2]['direction'] = [1, 0, 0]


def unknown_shape(content):
    content['marking_points'][2]['shape'] = 'Y'


def slot_of_no_image(content):
    content['annotations'][2]['image_id'] = 77


def point_of_no_image(content):
    content['marking_points'][0]['image_id'] = None


def unknown_category(content):
    content['annotations'][0]['category_id'] = 9


def image_without_size(content):
    del content['images'][1]['width']


def unknown_label_kind(content):
    content['info']['labels'] = ['slots', 'lanes']


def no_categories(content):
    del content['categories']


def no_annotations(content):
    del content['annotations']


def odd_occupied(content):
    content['annotations'][1]['occupied'] = 'yes'


def image_without_id(content):
    del content['images'][1]['id']


def image_id_twice(content):
    content['images'][1]['id'] = 0


@pytest.mark.parametrize(
    ('damage', 'sentence'),
    [
        (three_corners, r'annotations\[1\] \(id 2\) has 3 corners .*expected the four corners'),
        (nan_corner, r'annotations\[1\] \(id 2\) has a value that is not a finite number'),
        (text_corner, r'annotations\[1\] \(id 2\) has a value that is not a finite number'),
        (no_keypoints, r'annotations\[1\] \(id 2\) has no list in `keypoints`'),
        (nan_point, r'marking_points\[2\] \(id 2\) has point \[nan, 80.0\]; expected two finite'),
        (no_point, r'marking_points\[2\] \(id 2\) has point None; expected two finite'),
        (long_direction, r'marking_points\[2\] \(id 2\) has direction \[1, 0, 0\]'),
        (unknown_shape, r"marking_points\[2\] \(id 2\) has shape 'Y'; expected one of .* or null"),
        (slot_of_no_image, r'annotations\[2\] has image_id 77, which no entry of `images` has'),
        (point_of_no_image, r'marking_points\[0\] has image_id None, which no entry'),
        (unknown_category, r'annotations\[0\] \(id 1\) has category_id 9; `categories` has \[1, 2'),
        (image_without_size, r"the image with id 1 lacks \['width'\]; add them"),
        (unknown_label_kind, r"unknown label kinds \['lanes'\]; expected some of"),
        (no_categories, r'no list `categories` found \(keys: .*\); expected a COCO file'),
        (no_annotations, r'no list `annotations` found'),
        (
            odd_occupied,
            r"annotations\[1\] \(id 2\) has occupied 'yes'; expected true, false or null",
        ),
        (image_without_id, r'images\[1\] has no `id`'),
        (image_id_twice, r'images\[1\] has the id 0 of another image'),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence_that_names_the_entry(written, damage, sentence):
    path, content = written
    damage(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=sentence) as error:
        read_parking_slot_coco(path)
    assert str(path) in str(error.value)


def test_a_missing_file_names_its_place_and_the_keys_of_the_config(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r'/f\.json not found; check `data_root` and `ann_f'
    ):
        read_parking_slot_coco(tmp_path / 'f.json')


def test_a_truncated_file_is_called_invalid_json(written):
    path, _ = written
    path.write_text(path.read_text()[:200])
    with pytest.raises(ValueError, match=r'file\.json: not valid JSON'):
        read_parking_slot_coco(path)


def test_a_json_list_is_no_coco_file(tmp_path):
    (tmp_path / 'f.json').write_text('[]')
    with pytest.raises(ValueError, match='found a JSON list, expected a COCO object'):
        read_parking_slot_coco(tmp_path / 'f.json')
