"""Reading Tongji ps2.0."""

import pickle

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mmdet_ext.datasets.formats.convert import convert
from mmdet_ext.datasets.formats.parking_slot_coco import read_parking_slot_coco
from mmdet_ext.datasets.formats.ps2 import Ps2Reader
from mmdet_ext.datasets.formats.reader import ReadReport

TWO_MARKS = [[201, 401], [351, 401]]


def write_pair(stem, marks=(), slots=(), size=(600, 600), **others):
    stem.parent.mkdir(parents=True, exist_ok=True)
    Image.new('L', size).save(f'{stem}.jpg')
    # MATLAB saves [] as a 0 x 0 array and indices as doubles or small integers alike.
    marks, slots = (np.array(rows) if len(rows) else np.zeros((0, 0)) for rows in (marks, slots))
    savemat(f'{stem}.mat', {'marks': marks, 'slots': slots, **others})


def test_marks_count_from_one_and_slots_are_completed(tmp_path):
    write_pair(tmp_path / 'training/20160725-3-1', TWO_MARKS, np.array([[1, 2, 1, 90]], np.uint8))
    (record,) = Ps2Reader(tmp_path)
    assert record.file_name == 'training/20160725-3-1.jpg'
    np.testing.assert_array_equal(record.points, [[200, 400], [350, 400]])
    np.testing.assert_allclose(
        record.corners, [[[200, 400], [350, 400], [350, 120], [200, 120]]], atol=1e-9
    )
    np.testing.assert_allclose(record.directions, [[0, -1], [0, -1]], atol=1e-12)
    assert (record.slot_types.tolist(), record.slot_points.tolist()) == ([0], [[0, 1]])
    assert (record.shapes.tolist(), record.occupied.tolist()) == ([-1, -1], [-1])
    assert (record.split, record.condition, record.group) == ('train', None, '20160725-3')
    assert record.metres_per_pixel == pytest.approx(0.0166667, abs=1e-6)


def test_slanted_and_parallel_slots_are_told_by_type_and_entrance(tmp_path):
    marks = [[101, 501], [401, 501], [101, 201], [251, 201]]
    slots = [[1, 2, 1, 90], [3, 4, 2, 67], [4, 3, 3, 129]]
    write_pair(tmp_path / 'training/001', marks, slots)
    (record,) = Ps2Reader(tmp_path)
    assert record.slot_types.tolist() == [1, 2, 2]
    depths = np.abs(record.corners[:, 3, 1] - record.corners[:, 0, 1])
    np.testing.assert_allclose(depths, [120, 280, 280])
    across = record.corners[:, 3, 0] - record.corners[:, 0, 0]
    slanted = 280 / np.tan(np.radians([67, 129]))
    np.testing.assert_allclose(across, [0, slanted[0], -slanted[1]], atol=1e-9)
    assert record.group is None


def test_labels_of_600_pixels_fit_an_image_of_another_size(tmp_path):
    write_pair(tmp_path / 'training/a', TWO_MARKS, [[1, 2, 1, 90]], size=(300, 300))
    (record,) = Ps2Reader(tmp_path)
    np.testing.assert_allclose(record.points, [[99.75, 199.75], [174.75, 199.75]])
    np.testing.assert_allclose(record.corners[0, 2:], [[174.75, 59.75], [99.75, 59.75]])
    assert record.metres_per_pixel == pytest.approx(10 / 300)
    (record,) = Ps2Reader(tmp_path, metres=0)
    assert record.metres_per_pixel is None


def test_labels_of_ones_own_in_the_frame_of_the_image_scale_the_lengths(tmp_path):
    write_pair(tmp_path / 'training/a', [[101, 251], [210, 251]], [[1, 2, 1, 90]], size=(300, 300))
    (record,) = Ps2Reader(tmp_path, label_size=0)
    assert record.slot_types.tolist() == [1]  # 109 px of 300 are 218 of 600
    np.testing.assert_allclose(record.corners[0, 3], [100, 190])


def test_images_without_slots_and_without_marks_are_kept(tmp_path):
    write_pair(tmp_path / 'training/a')
    write_pair(tmp_path / 'training/b', [[5, 5]])
    report = ReadReport()
    first, second = Ps2Reader(tmp_path).iterate(report)
    assert (len(first.points), len(first.corners)) == (0, 0)
    assert (second.points.tolist(), len(second.corners)) == ([[4, 4]], 0)
    assert np.isnan(second.directions).all()
    assert report.counts == {'image without points (kept)': 1}


def test_each_test_image_is_read_once_with_the_folder_that_holds_it_as_condition(tmp_path):
    testing = tmp_path / 'testing'
    for place in (
        'all/1',
        'outdoor-normal daylight/1',
        'all/2',
        'indoor-parking lot/2',
        'all/3',
        'outdoor-rainy/4',
    ):
        write_pair(testing / place, TWO_MARKS)
    report = ReadReport()
    records = list(Ps2Reader(tmp_path).iterate(report))
    assert [(r.file_name, r.condition, r.split) for r in records] == [
        ('testing/all/1.jpg', 'outdoor-normal daylight', 'test'),
        ('testing/all/2.jpg', 'indoor-parking lot', 'test'),
        ('testing/all/3.jpg', None, 'test'),
        ('testing/outdoor-rainy/4.jpg', 'outdoor-rainy', 'test'),
    ]
    assert report.counts == {'test image in no condition folder (kept)': 1}
    (record,) = (r for r in Ps2Reader(testing) if r.file_name == 'all/2.jpg')
    assert (record.condition, record.split) == ('indoor-parking lot', 'test')


def test_without_all_images_of_one_name_are_images_of_their_own(tmp_path):
    for folder in ('indoor-parking lot', 'outdoor-rainy'):
        write_pair(tmp_path / 'testing' / folder / '001', TWO_MARKS)
    report = ReadReport()
    records = list(Ps2Reader(tmp_path).iterate(report))
    assert [r.condition for r in records] == ['indoor-parking lot', 'outdoor-rainy']
    assert not report.counts


def test_an_image_in_two_condition_folders_is_counted_once(tmp_path):
    for folder in ('all', 'outdoor-rainy', 'outdoor-shadow'):
        write_pair(tmp_path / 'testing' / folder / '001', TWO_MARKS)
    report = ReadReport()
    (record,) = Ps2Reader(tmp_path).iterate(report)
    assert record.condition == 'outdoor-rainy'
    reason = 'test image in two condition folders (the first is its condition)'
    assert report.counts == {reason: 1}
    assert report.examples[reason] == '001 in outdoor-rainy and outdoor-shadow'


def test_one_bad_file_or_slot_loses_no_other(tmp_path):
    folder = tmp_path / 'testing/outdoor-rainy'
    write_pair(folder / '1', TWO_MARKS, [[1, 2, 1, 90], [1, 3, 1, 90], [2, 2, 1, 90]])
    write_pair(folder / '2', [[np.nan, 1], [351, 401], [201, 401]], [[1, 2, 1, 90], [3, 2, 1, 90]])
    write_pair(folder / '3', TWO_MARKS)
    (folder / '3.jpg').write_bytes(b'no image')
    write_pair(folder / '4', TWO_MARKS)
    (folder / '4.jpg').unlink()
    write_pair(folder / '5', TWO_MARKS)
    (folder / '5.mat').unlink()
    write_pair(folder / '6', TWO_MARKS)
    (folder / '6.mat').write_bytes(b'MATLAB 7.3')
    write_pair(folder / '7', [[601, 301], [301, 301]])
    report = ReadReport()
    records = list(Ps2Reader(tmp_path).iterate(report))
    assert [(len(r.points), len(r.corners)) for r in records] == [(2, 1), (2, 1), (1, 0)]
    assert records[1].slot_points.tolist() == [[1, 0]]  # without the unreadable mark
    assert report.counts == {
        'slot naming a mark that there is not left out': 1,
        'slot with both ends at one place left out': 1,
        'mark that is not 2 finite numbers left out': 1,
        'slot on an unreadable mark left out': 1,
        'unreadable image (left out)': 1,
        'label without image left out': 1,
        'image without label left out': 1,
        'mat file that cannot be read (image left out)': 1,
        'point outside the image left out': 1,
    }
    assert {condition for condition, _ in report.by_condition} == {'outdoor-rainy'}
    assert report.examples['slot with both ends at one place left out'] == (
        'testing/outdoor-rainy/1.mat (slot 3: [2.0, 2.0, 1.0, 90.0])'
    )


def test_annotations_in_a_tree_of_their_own_are_found(tmp_path):
    write_pair(tmp_path / 'training/a', TWO_MARKS)
    (tmp_path / 'annotations/training').mkdir(parents=True)
    (tmp_path / 'training/a.mat').rename(tmp_path / 'annotations/training/a.mat')
    (record,) = Ps2Reader(tmp_path)
    assert (record.file_name, record.split) == ('training/a.jpg', 'train')


def test_a_whole_data_set_is_converted_by_its_splits(tmp_path):
    write_pair(tmp_path / 'in/training/a', TWO_MARKS, [[1, 2, 1, 90]])
    write_pair(tmp_path / 'in/testing/all/b', TWO_MARKS, [[2, 1, 1, 90]])
    write_pair(tmp_path / 'in/testing/outdoor-rainy/b', TWO_MARKS, [[2, 1, 1, 90]])
    convert('ps2', tmp_path / 'in', tmp_path / 'out', num_workers=2)
    train, test = (read_parking_slot_coco(tmp_path / f'out/{n}.json') for n in ('train', 'test'))
    assert test.labels == ('marking_points', 'directions', 'slots')
    assert [len(part.images) for part in (train, test)] == [1, 1]
    assert test.images[0].condition == 'outdoor-rainy'
    np.testing.assert_allclose(
        test.images[0].corners, [[[350, 400], [200, 400], [200, 680], [350, 680]]]
    )


def test_a_reader_and_its_items_go_to_other_processes(tmp_path):
    write_pair(tmp_path / 'training/a', TWO_MARKS)
    reader = Ps2Reader(tmp_path)
    reader, items = pickle.loads(pickle.dumps((reader, reader.find(ReadReport()))))
    assert len(reader.read(items[0], ReadReport()).points) == 2


def test_a_folder_without_mat_files_is_one_clear_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no mat file found; expected ps2\.0'):
        list(Ps2Reader(tmp_path))


@pytest.mark.parametrize('option', [{'label_size': -1}, {'label_size': 'x'}, {'metres': None}])
def test_a_wrong_length_names_the_option(tmp_path, option):
    with pytest.raises(ValueError, match=f'Option {next(iter(option))} is .*expected a number'):
        Ps2Reader(tmp_path, **option)
