"""Reading and writing the labels of DMPR-PS."""

import json

import numpy as np
import pytest
from PIL import Image

from mmdet_ext.datasets.formats.dmpr import DmprPreparedReader, DmprReader, write_dmpr
from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage
from mmdet_ext.datasets.formats.reader import ReadReport

MARKS = [[201, 401, 201, 351, 0], [351, 401, 301, 401, 1]]


def write_image(path, size=(600, 600)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('L', size).save(path)


def write_label(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_pair(stem, marks=MARKS, slots=(), size=(600, 600)):
    write_image(stem.with_suffix('.jpg'), size)
    write_label(stem.with_suffix('.json'), {'marks': marks, 'slots': slots})


def test_marks_have_directions_and_shapes(tmp_path):
    write_pair(tmp_path / 'a', MARKS, [[1, 2, 1, 90]])
    (record,) = DmprReader(tmp_path)
    np.testing.assert_array_equal(record.points, [[200, 400], [350, 400]])
    np.testing.assert_array_equal(record.directions, [[0, -1], [-1, 0]])
    assert record.shapes.tolist() == [0, 1]
    np.testing.assert_allclose(
        record.corners, [[[200, 400], [350, 400], [350, 120], [200, 120]]], atol=1e-9
    )
    assert (record.split, record.condition, record.group) == (None, None, None)
    assert record.metres_per_pixel is None
    assert not DmprReader.derived


def test_collapsed_rows_read_like_whole_ones(tmp_path):
    write_pair(tmp_path / 'a', MARKS, [1, 2, 1, 90])
    write_pair(tmp_path / 'b', MARKS[0], [])
    write_pair(tmp_path / 'c', [], [])
    a, b, c = DmprReader(tmp_path)
    assert (len(a.points), len(a.corners)) == (2, 1)
    assert (b.points.tolist(), len(b.corners)) == ([[200, 400]], 0)
    assert (len(c.points), len(c.corners)) == (0, 0)


def test_images_below_image_root_are_found_with_split_and_condition(tmp_path):
    labels, images = tmp_path / 'ps_json_label', tmp_path / 'ps2.0'
    for place in ('training/20160725-3-1', 'testing/all/7'):
        write_label(labels / f'{place}.json', {'marks': MARKS, 'slots': []})
        write_image(images / f'{place}.jpg')
    write_image(images / 'testing/outdoor-rainy/7.jpg')
    write_image(images / 'testing/all/8.jpg')
    write_image(images / 'testing/outdoor-slanted/8.jpg')
    report = ReadReport()
    test, train = DmprReader(labels, image_root=images, metres=10).iterate(report)
    assert (test.file_name, test.split) == ('../ps2.0/testing/all/7.jpg', 'test')
    assert test.condition == 'outdoor-rainy'
    assert (train.split, train.condition, train.group) == ('train', None, '20160725-3')
    assert train.metres_per_pixel == pytest.approx(1 / 60)
    assert report.by_condition == {('outdoor-slanted', 'image without label left out'): 1}


def test_labels_of_another_frame_are_scaled(tmp_path):
    write_pair(tmp_path / 'a', MARKS, [1, 2, 1, 90], size=(512, 512))
    (record,) = DmprReader(tmp_path, label_size=600)
    np.testing.assert_allclose(record.points[0], (np.array([201, 401]) - 0.5) * 512 / 600 - 0.5)
    (record,) = DmprReader(tmp_path)
    np.testing.assert_array_equal(record.points[0], [200, 400])


def test_bad_files_and_parts_are_counted(tmp_path):
    write_pair(
        tmp_path / 'a',
        [*MARKS, [None, 1, 2, 3, 0], [9, 9, 9, 9, 0], [700, 9, 9, 9, 0], [5, 5, 6, 6, 3]],
        [[1, 2, 1, 90], [3, 2, 1, 90], [1, 9, 1, 90], [5, 6, 1, 90]],
    )
    write_pair(tmp_path / 'b')
    (tmp_path / 'b.json').write_text('{"marks": [')
    write_pair(tmp_path / 'c')
    (tmp_path / 'c.jpg').write_bytes(b'')
    write_pair(tmp_path / 'd')
    (tmp_path / 'd.jpg').unlink()
    write_pair(tmp_path / 'e', 'nothing')
    report = ReadReport()
    (record,) = DmprReader(tmp_path).iterate(report)
    assert len(record.points) == 4
    assert record.slot_points.tolist() == [[0, 1], [-1, 3]]
    assert np.isnan(record.directions).any(-1).tolist() == [False, False, True, False]
    assert record.shapes.tolist() == [0, 1, 0, -1]
    assert report.counts == {
        'label without image left out': 1,
        'mark that is not 5 finite numbers left out': 1,
        'mark whose second point is the first (direction unknown)': 1,
        'mark whose shape is neither 0 nor 1 (shape unknown)': 1,
        'slot on an unreadable mark left out': 1,
        'slot naming a mark that there is not left out': 1,
        'point outside the image left out': 1,
        'broken JSON (image left out)': 1,
        'unreadable image (left out)': 1,
        'marks that are no list of rows (image left out)': 1,
    }


def test_missing_labels_and_images_are_one_clear_sentence_each(tmp_path):
    with pytest.raises(FileNotFoundError, match='no JSON file found; expected the labels of DMPR'):
        list(DmprReader(tmp_path))
    write_label(tmp_path / 'a.json', {})
    with pytest.raises(FileNotFoundError, match='no image found; set the option image_root'):
        list(DmprReader(tmp_path))
    with pytest.raises(
        FileNotFoundError, match='no JSON file found; expected what prepare_dataset'
    ):
        list(DmprPreparedReader(tmp_path / 'b'))


def test_prepared_lists_are_relative_to_the_image(tmp_path):
    write_image(tmp_path / 'test/a.jpg', (512, 512))
    write_label(tmp_path / 'test/a.json', [[0.5, 0.25, -np.pi / 2, 0], [0.5, 0.25, 0.0, 1]])
    write_image(tmp_path / 'test/b.jpg', (512, 512))
    write_label(tmp_path / 'test/b.json', [])
    a, b = DmprPreparedReader(tmp_path)
    np.testing.assert_allclose(a.points, [[255.5, 127.5]] * 2)
    np.testing.assert_allclose(a.directions, [[0, -1], [1, 0]], atol=1e-12)
    assert (a.shapes.tolist(), a.split, len(b.points)) == ([0, 1], 'test', 0)
    assert DmprPreparedReader.labels == ('marking_points', 'directions', 'shapes')


def test_rotated_copies_are_one_group_and_leaks_into_val_are_counted(tmp_path):
    names = ('train/20160725-3-1', 'train/x_5', 'val/20160725-3-1_355', 'val/x_7', 'val/y_10')
    for name in names:
        write_image(tmp_path / f'{name}.jpg')
        write_label(tmp_path / f'{name}.json', [])
    report = ReadReport()
    records = list(DmprPreparedReader(tmp_path).iterate(report))
    assert [(r.split, r.group) for r in records] == [
        ('train', '20160725-3'),
        ('train', 'x'),
        ('val', '20160725-3'),
        ('val', 'x_7'),  # no angle that the script turns by
        ('val', 'y'),
    ]
    assert report.examples['val image that train has in another rotation'] == (
        'val/20160725-3-1_355.jpg'
    )
    assert report.counts['val image that train has in another rotation'] == 1


def read_again(folder, tmp_path):
    return list(DmprReader(folder, image_root=tmp_path))


def test_what_was_read_is_written_and_read_again_unchanged(tmp_path):
    rng = np.random.default_rng(0)
    marks = np.column_stack([rng.uniform(0.5, 600.5, (40, 4)), rng.integers(0, 2, 40)])
    angles = [90, 60, 120, 67.25, 129.125] * 4
    kinds = [1, 2, 3, 2, 3] * 4
    slots = [
        [2 * i + 1, 2 * i + 2, *rest] for i, rest in enumerate(zip(kinds, angles, strict=True))
    ]
    for name in ('training/a', 'testing/all/b.1'):
        write_image(tmp_path / f'{name}.jpg')
        write_label(tmp_path / f'{name}.json', {'marks': marks.tolist(), 'slots': slots})
    write_pair(tmp_path / 'training/empty', [], [])
    first = list(DmprReader(tmp_path))
    report = write_dmpr(tmp_path / 'out', first)
    assert not report.counts
    second = read_again(tmp_path / 'out', tmp_path)
    assert [r.split for r in second] == ['test', 'train', 'train']
    assert len(first[0].corners) > 15
    for one, two in zip(first, second, strict=True):
        for name in ('points', 'shapes', 'corners', 'slot_types', 'slot_points', 'occupied'):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        np.testing.assert_allclose(one.directions, two.directions, rtol=0, atol=1e-13)
    written = json.loads((tmp_path / 'out/testing/all/b.1.json').read_text())
    np.testing.assert_array_equal(np.array(written['marks'])[:, :2], marks[:, :2])
    assert all(slot in slots for slot in written['slots'])
    assert {kind for _, _, kind, _ in written['slots']} == {1, 2, 3}


def scene(**changes):
    """Two marks with one perpendicular slot on them."""
    fields = {
        'points': [[200, 400], [350, 400]],
        'directions': [[0, -1], [-1, 0]],
        'shapes': [0, 1],
        'corners': [[[200, 400], [350, 400], [350, 120], [200, 120]]],
        'slot_types': [0],
        'occupied': [-1],
        'slot_points': [[0, 1]],
    } | changes
    arrays = {name: np.array(value) for name, value in fields.items()}
    return ParkingImage('a/b.png', 600, 600, **arrays)


def test_labels_are_written_in_the_form_of_the_label_tool(tmp_path):
    assert not write_dmpr(tmp_path, [scene()]).counts
    assert json.loads((tmp_path / 'a/b.json').read_text()) == {
        'marks': [[201, 401, 201, 351, 0], [351, 401, 301, 401, 1]],
        'slots': [[1, 2, 1, 90]],
    }


@pytest.mark.parametrize(
    ('changes', 'reasons', 'marks', 'slots'),
    [
        (
            {'directions': [[0, -1], [np.nan, np.nan]]},
            [
                'marking point with an unknown direction left out',
                'slot without two written marks left out',
            ],
            1,
            0,
        ),
        (
            {'shapes': [2, 1]},
            [
                'marking point with a shape other than T and L left out',
                'slot without two written marks left out',
            ],
            1,
            0,
        ),
        ({'slot_points': [[0, -1]]}, ['slot without two written marks left out'], 2, 0),
        (
            {'corners': [[[200, 400], [350, 400], [350, 150], [200, 150]]]},
            ['slot whose corners readers put elsewhere'],
            2,
            1,
        ),
        (
            {'slot_types': [1]},
            ['slot that readers give another type'],
            2,
            1,
        ),
        ({'occupied': [0]}, ['slot whose occupancy is lost'], 2, 1),
        (
            {'corners': [[[200, 400], [350, 400], [350, 680], [200, 680]]]},
            ['slot that no reader takes left out'],
            2,
            0,
        ),
    ],
)
def test_what_the_format_cannot_carry_is_counted(tmp_path, changes, reasons, marks, slots):
    report = write_dmpr(tmp_path, [scene(**changes)])
    assert report.counts == dict.fromkeys(reasons, 1)
    assert all(example.startswith('a/b.png') for example in report.examples.values())
    written = json.loads((tmp_path / 'a/b.json').read_text())
    assert (len(written['marks']), len(written['slots'])) == (marks, slots)


def test_slots_name_the_marks_that_are_written(tmp_path):
    record = scene(
        points=[[9, 9], [200, 400], [350, 400]],
        directions=[[np.nan, np.nan], [0, -1], [0, -1]],
        shapes=[0, 0, 0],
        slot_points=[[1, 2]],
    )
    write_dmpr(tmp_path, [record])
    assert json.loads((tmp_path / 'a/b.json').read_text())['slots'] == [[1, 2, 1, 90]]


def test_a_label_has_one_image_and_stays_in_the_folder(tmp_path):
    other = scene()
    other.file_name = 'a/b.jpg'
    with pytest.raises(ValueError, match=r"'a/b.jpg': another image is written to a/b.json too"):
        write_dmpr(tmp_path, [scene(), other])
    for name in ('../a.jpg', '/a.jpg'):
        other.file_name = name
        with pytest.raises(ValueError, match='leads out of'):
            write_dmpr(tmp_path, [other])
