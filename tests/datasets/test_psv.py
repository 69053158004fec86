"""Reading PSV as re-annotated with marks and slots."""

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mmdet_ext.datasets.formats.psv import PsvReader
from mmdet_ext.datasets.formats.reader import ReadReport


def write_pair(root, name, marks, slots, size=(600, 600)):
    image, label = root / f'images/{name}.jpg', root / f'annotations/{name}.mat'
    for path in (image, label):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('L', size).save(image)
    savemat(label, {'marks': np.array(marks), 'slots': np.array(slots)})


def test_annotations_and_images_are_paired_by_their_paths(tmp_path):
    # More columns than x and y may follow; what they hold is not known.
    write_pair(tmp_path, 'train/1', [[201, 401, 9, 9], [351, 401, 9, 9]], [[2, 1, 1, 90]])
    write_pair(tmp_path, 'test/1', np.zeros((0, 2)), np.zeros((0, 4)))
    test, train = PsvReader(tmp_path)
    assert [(r.file_name, r.split) for r in (test, train)] == [
        ('images/test/1.jpg', 'test'),
        ('images/train/1.jpg', 'train'),
    ]
    assert (len(test.points), len(test.corners)) == (0, 0)
    np.testing.assert_array_equal(train.points, [[200, 400], [350, 400]])
    # Driven into from above: the slot lies below its entrance.
    np.testing.assert_allclose(
        train.corners, [[[350, 400], [200, 400], [200, 680], [350, 680]]], atol=1e-9
    )
    np.testing.assert_allclose(train.directions, [[0, 1], [0, 1]], atol=1e-12)
    assert train.metres_per_pixel is None
    assert PsvReader.derived == ('directions',)


def test_labels_of_600_pixels_fit_an_image_of_another_size(tmp_path):
    write_pair(tmp_path, 'train/1', [[1, 600]], np.zeros((0, 4)), size=(1200, 1200))
    (record,) = PsvReader(tmp_path)
    np.testing.assert_allclose(record.points, [[0.5, 1198.5]])


def test_what_has_no_partner_is_counted(tmp_path):
    for name in ('train/1', 'train/2', 'train/3'):
        write_pair(tmp_path, name, [[5, 5]], np.zeros((0, 4)))
    (tmp_path / 'images/train/1.jpg').unlink()
    (tmp_path / 'annotations/train/2.mat').unlink()
    report = ReadReport()
    (record,) = PsvReader(tmp_path).iterate(report)
    assert record.file_name == 'images/train/3.jpg'
    assert report.examples == {
        'label without image left out': 'annotations/train/1.mat',
        'image without label left out': 'images/train/2.jpg',
    }


def test_a_folder_without_mat_files_is_one_clear_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match='no mat file found; expected the PSV annotations'):
        list(PsvReader(tmp_path))
