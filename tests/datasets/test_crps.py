"""Reading CRPS-D."""

import json

import numpy as np
import pytest
from PIL import Image

from mmdet_ext.datasets.formats.crps import CrpsReader
from mmdet_ext.datasets.formats.reader import ReadReport


def write(image, label, content, size=(512, 512)):
    for path in (image, label):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('L', size).save(image)
    label.write_text(json.dumps(content))


def write_raw(root, name, marks, slots=(), **options):
    split, stem = name.split('/')
    content = {'marks': marks, 'slots': slots}
    write(
        root / split / f'img/{stem}.jpg',
        root / split / f'slot_label/{stem}.json',
        content,
        **options,
    )


def degrees(directions):
    """Angles on the screen: 0 right, 90 up."""
    return np.degrees(np.arctan2(-directions[:, 1], directions[:, 0])) % 360


def test_right_angled_marks_have_the_direction_of_dmpr(tmp_path):
    marks = [[101, 401, 101, 301, 0, 0, 0, 0], [229, 401, 129, 401, 0, 0, 1, 0]]
    write_raw(tmp_path, 'test/1', marks, [1, 2, 1, 90])
    (record,) = CrpsReader(tmp_path)
    assert (record.file_name, record.split) == ('test/img/1.jpg', 'test')
    np.testing.assert_array_equal(record.points, [[100, 400], [228, 400]])
    np.testing.assert_allclose(degrees(record.directions), [90, 180])
    assert (record.shapes.tolist(), record.slot_types.tolist()) == ([0, 1], [0])
    depth = 280 * 512 / 600
    np.testing.assert_allclose(
        record.corners, [[[100, 400], [228, 400], [228, 400 - depth], [100, 400 - depth]]]
    )
    assert record.metres_per_pixel == pytest.approx(10 / 512)


def slanted_mark(x, y, first, second, shape):
    arms = [
        (x + 40 * np.cos(np.radians(a)), y - 40 * np.sin(np.radians(a))) for a in (first, second)
    ]
    return [x, y, *arms[0], *arms[1], shape, 1]


@pytest.mark.parametrize(('first', 'second'), [(60, 180), (180, 60)])
def test_an_l_points_along_the_arm_that_meets_the_other_when_turned_clockwise(
    tmp_path, first, second
):
    # On screen 180 degrees is to the left; turned clockwise it comes to 60 degrees, by 120.
    write_raw(tmp_path, 'test/1', slanted_mark(300, 300, first, second, 1))
    (record,) = CrpsReader(tmp_path)
    np.testing.assert_allclose(degrees(record.directions), [180])


def test_a_slanted_t_points_along_its_separating_line(tmp_path):
    marks = [slanted_mark(300, 300, 60, bar, 0) for bar in (180, 0)]
    write_raw(tmp_path, 'test/1', marks)
    (record,) = CrpsReader(tmp_path)
    np.testing.assert_allclose(degrees(record.directions), [60, 60])


def test_a_slanted_l_without_a_second_arm_has_no_direction(tmp_path):
    mark = slanted_mark(300, 300, 60, 180, 1)
    mark[4:6] = mark[:2]
    write_raw(tmp_path, 'test/1', [mark])
    report = ReadReport()
    (record,) = CrpsReader(tmp_path).iterate(report)
    assert np.isnan(record.directions).all()
    assert report.counts == {'mark whose second point is the first (direction unknown)': 1}


def test_the_angle_alone_says_whether_a_slot_is_slanted(tmp_path):
    marks = [
        [101, 401, 101, 301, 0, 0, 0, 0],
        [229, 401, 229, 301, 0, 0, 0, 0],
        [297, 401, 297, 301, 0, 0, 0, 0],
        [298, 401, 298, 301, 0, 0, 0, 0],
    ]
    slots = [[1, 2, 0, 89.4], [1, 2, 1, 120], [1, 3, 0, 90], [1, 4, 0, 90]]
    write_raw(tmp_path, 'test/1', marks, [slots[1], slots[2], slots[3]])
    write_raw(tmp_path, 'test/2', marks, [slots[0]])
    report = ReadReport()
    first, second = CrpsReader(tmp_path).iterate(report)
    # 196 and 197 px of 512 are 229.7 and 230.9 of 600: between the authors' ranges.
    assert first.slot_types.tolist() == [2, 0, 1]
    assert second.slot_types.tolist() == [0]
    separator = first.corners[0, 3] - first.corners[0, 0]
    np.testing.assert_allclose(degrees(separator[None]), [120])
    assert not report.counts


def test_labels_of_512_pixels_fit_an_image_of_another_size(tmp_path):
    write_raw(tmp_path, 'train/1', [[1, 512, 1, 412, 0, 0, 0, 0]], size=(1024, 1024))
    (record,) = CrpsReader(tmp_path)
    np.testing.assert_allclose(record.points, [[0.5, 1022.5]])


def test_prepared_lists_have_points_only(tmp_path):
    folder = tmp_path / 'train/point_train'
    mark = [0.25, 0.5, np.pi / 2, np.pi, 1, 1]
    write(folder / '1.jpg', folder / '1.json', [mark, [0.75, 0.5, 0, 1.5, 0, 0]])
    write_raw(tmp_path, 'test/1', [])
    reader = CrpsReader(tmp_path, prepared=True)
    (record,) = reader
    assert (record.file_name, record.split) == ('train/point_train/1.jpg', 'train')
    np.testing.assert_allclose(record.points, [[127.5, 255.5], [383.5, 255.5]])
    np.testing.assert_allclose(record.directions, [[0, 1], [1, 0]], atol=1e-12)
    assert record.shapes.tolist() == [1, 0]
    assert reader.labels == ('marking_points', 'directions', 'shapes')
    (raw,) = CrpsReader(tmp_path)
    assert raw.file_name == 'test/img/1.jpg'
    assert 'slots' in CrpsReader(tmp_path).labels


def test_what_cannot_be_used_is_counted(tmp_path):
    good = [101, 401, 101, 301, 0, 0, 0, 0]
    write_raw(tmp_path, 'test/1', [good, good[:5], [*good[:6], 2, 0]], [[1, 2, 0, 90]])
    write_raw(tmp_path, 'test/2', [good])
    (tmp_path / 'test/slot_label/2.json').write_text('[[0.5, 0.5, 0, 0, 0, 0]]')
    write_raw(tmp_path, 'train/3', [good])
    (tmp_path / 'train/slot_label/3.json').unlink()
    report = ReadReport()
    (record,) = CrpsReader(tmp_path).iterate(report)
    assert record.shapes.tolist() == [0, -1]
    assert report.counts == {
        'mark that is not 8 finite numbers left out': 1,
        'mark whose shape is neither 0 nor 1 (shape unknown)': 1,
        'slot on an unreadable mark left out': 1,
        'JSON without `marks` and `slots` (image left out)': 1,
        'image without label left out': 1,
    }


def test_a_folder_without_labels_is_one_clear_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match='no raw JSON file found; expected CRPS-D'):
        list(CrpsReader(tmp_path))
