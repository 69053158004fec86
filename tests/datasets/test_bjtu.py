"""Reading bjtu-ps1."""

import json

import numpy as np
import pytest
from PIL import Image

from mmdet_ext.datasets.formats.bjtu import BjtuReader
from mmdet_ext.datasets.formats.reader import ReadReport

MARKS = [[201, 401, 201, 301, 0], [351, 401, 301, 401, 1]]


def write(root, name, marks=MARKS, slots=(1, 2, 1, 90), size=(800, 600)):
    for folder in ('img', 'label', 'main'):
        (root / folder).mkdir(exist_ok=True, parents=True)
    Image.new('L', size).save(root / f'img/{name}.jpg')
    (root / f'label/{name}.json').write_text(json.dumps({'marks': marks, 'slots': slots}))


def test_the_lists_give_the_splits(tmp_path):
    for name in ('a', 'b.1', 'c'):
        write(tmp_path, name)
    # A byte-order mark, Windows line ends, blank lines and suffixes do not matter.
    (tmp_path / 'main/train.txt').write_bytes(b'\xef\xbb\xbfa\r\n\r\nb.1.jpg\r\n')
    (tmp_path / 'main/val.txt').write_text('c')
    (tmp_path / 'main/trainval.txt').write_text('a\nb.1\nc')
    report = ReadReport()
    records = list(BjtuReader(tmp_path).iterate(report))
    assert [(r.file_name, r.split) for r in records] == [
        ('img/a.jpg', 'train'),
        ('img/b.1.jpg', 'train'),
        ('img/c.jpg', 'val'),
    ]
    assert not report.counts


def test_labels_are_in_the_frame_of_each_image(tmp_path):
    write(tmp_path, 'a', size=(800, 1200))
    (tmp_path / 'main/train.txt').write_text('a')
    (record,) = BjtuReader(tmp_path)
    np.testing.assert_array_equal(record.points, [[200, 400], [350, 400]])
    np.testing.assert_allclose(record.directions, [[0, -1], [-1, 0]])
    assert record.shapes.tolist() == [0, 1]
    # Twice the height of ps2.0's images: the slot is 2 x 280 pixels deep.
    np.testing.assert_allclose(record.corners[0, 2:], [[350, -160], [200, -160]])


def test_slanted_slots_have_angles_of_30_and_45_degrees(tmp_path):
    write(tmp_path, 'a', slots=[[1, 2, 2, 45], [2, 1, 2, 30]])
    (tmp_path / 'main/train.txt').write_text('a')
    (record,) = BjtuReader(tmp_path)
    assert record.slot_types.tolist() == [2, 2]
    separators = record.corners[:, 3] - record.corners[:, 0]
    np.testing.assert_allclose(separators[0], [280, -280])
    np.testing.assert_allclose(separators[1], [-280 / np.tan(np.pi / 6), 280])


def test_names_and_files_that_do_not_meet_are_counted(tmp_path):
    for name in 'abcde':
        write(tmp_path, name)
    (tmp_path / 'label/b.json').unlink()
    (tmp_path / 'img/c.jpg').unlink()
    Image.new('L', (9, 9)).save(tmp_path / 'img/f.png')
    (tmp_path / 'main/train.txt').write_text('a\nb\nc\nd\na')
    (tmp_path / 'main/val.txt').write_text('d')
    report = ReadReport()
    records = list(BjtuReader(tmp_path).iterate(report))
    assert [(r.file_name, r.split) for r in records] == [
        ('img/a.jpg', 'train'),
        ('img/d.jpg', 'val'),
    ]
    assert report.examples == {
        'name in both lists (read for validation)': 'd',
        'listed name without label left out': 'b of train.txt',
        'label that no list names left out': 'label/e.json',
        'label without image left out': 'label/c.json',
        'image without label left out': 'img/f.png',
    }
    assert set(report.counts.values()) == {1}


def test_a_missing_list_is_counted_and_both_are_one_clear_sentence(tmp_path):
    write(tmp_path, 'a')
    with pytest.raises(FileNotFoundError, match=r'neither main/train.txt nor main/val.txt'):
        list(BjtuReader(tmp_path))
    (tmp_path / 'main/val.txt').write_text('a')
    report = ReadReport()
    assert len(list(BjtuReader(tmp_path).iterate(report))) == 1
    assert report.examples == {'list that is missing': 'main/train.txt'}
