"""Reading text files of ``class cx cy w h`` that a list names."""

import pytest
from PIL import Image

from mmdet_ext.datasets.formats.box_txt import BoxTxtReader
from mmdet_ext.datasets.formats.reader import ReadReport


@pytest.fixture
def folder(tmp_path):
    def write(text, image='a.jpg', label='a.txt', listed='a.jpg'):
        for name in (image, label):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (100, 80)).save(tmp_path / image)
        (tmp_path / label).write_text(text)
        with (tmp_path / 'filelist.txt').open('a') as file:
            file.write(f'{listed}\n')
        return tmp_path

    return write


def read(root, **options):
    report = ReadReport()
    return list(BoxTxtReader(root, **options).iterate(report)), report


def test_a_line_is_class_centre_and_size_in_pixels(folder):
    (record,), report = read(folder('car 30 40 20 10\ndog 10.5 20 5 4.5\n'))
    assert record.boxes.tolist() == [[20, 35, 40, 45], [8, 17.75, 13, 22.25]]
    assert record.names == ['car', 'dog']
    assert (record.file_name, record.width, record.height) == ('a.jpg', 100, 80)
    assert not report.counts


def test_normalised_boxes_are_shares_of_the_image(folder):
    (record,), _ = read(folder('car 0.3 0.5 0.2 0.125'), normalised=True)
    assert record.boxes.tolist() == [[20, 35, 40, 45]]


def test_a_box_over_the_border_is_cut_not_moved(folder):
    (record,), report = read(folder('car 5 40 20 10'))
    assert record.boxes.tolist() == [[0, 35, 15, 45]]
    assert report.counts == {'box clipped to the image': 1}


def test_boxes_below_min_size_become_crowd(folder):
    text = 'a 30 40 8 8\nb 30 40 7.9 20\nc 30 40 20 7.9'
    (record,), _ = read(folder(text), min_size=8)
    assert record.crowd.tolist() == [False, True, True]
    (record,), _ = read(folder(text))
    assert not record.crowd.any()


def test_min_size_is_in_pixels_where_boxes_are_normalised(folder):
    text = 'a 0.5 0.5 0.08 0.1\nb 0.5 0.5 0.079 0.1'  # 8 x 8 and 7.9 x 8 of 100 x 80 pixels
    (record,), _ = read(folder(text), min_size=8, normalised=True)
    assert record.crowd.tolist() == [False, True]


def test_numbers_of_classes_get_their_names(folder):
    root = folder('1 30 40 20 10\n0 30 40 20 10\n7 30 40 20 10\ncar 30 40 20 10')
    (record,), report = read(root, classes='bus,car')
    assert record.names == ['car', 'bus', 'car']
    assert report.counts == {'object whose class number has no name left out': 1}
    (record,), _ = read(root)
    assert record.names == ['1', '0', '7', 'car']


@pytest.mark.parametrize(
    'line',
    ['traffic light 30 40 20 10', 'traffic light,30,40,20,10,', 'traffic\tlight\t30;40 20 10 '],
)
def test_any_separator_and_names_of_two_words_are_read(folder, line):
    (record,), _ = read(folder(line))
    assert record.names == ['traffic light']
    assert record.boxes.tolist() == [[20, 35, 40, 45]]


@pytest.mark.parametrize(
    ('image', 'label', 'listed'),
    [
        ('x/a.jpg', 'x/a.txt', 'x/a.jpg'),
        ('x/a.jpg', 'x/a.txt', 'x\\a.jpg'),
        ('x/a.PNG', 'x/a.txt', 'x/a.txt'),
        ('x/a.b.jpg', 'x/a.b.txt', 'x/a.b'),
        ('JPEGImages/a.jpg', 'Annotations/a.txt', 'JPEGImages/a.jpg'),
        ('JPEGImages/a.bmp', 'Annotations/a.txt', './Annotations/a.txt'),
        ('images/train/a.jpg', 'labels/train/a.txt', 'images/train/a.jpg'),
        (
            'Annotations/JPEGImages/a.jpg',
            'Annotations/Annotations/a.txt',
            'Annotations/Annotations/a.txt',
        ),
    ],
)
def test_the_other_file_of_a_pair_is_found(folder, image, label, listed):
    (record,), report = read(folder('car 30 40 20 10', image, label, listed))
    assert record.file_name == image
    assert record.names == ['car']
    assert not report.counts


def test_faults_are_counted_and_lose_nothing_else(folder):
    root = folder(
        'car 30 40 20 10\n30 40 20 10\ncar 30 40 20 10 0.9\ncar x 40 20 10\ncar 30 40 0 10\n'
    )
    folder('', 'empty.jpg', 'empty.txt', 'empty.jpg')
    folder('', 'empty.jpg', 'empty.txt', 'empty.jpg')
    folder('', 'b.jpg', 'b.txt', 'b.jpg')
    (root / 'b.jpg').write_bytes(b'no image')
    folder('', 'c.jpg', 'c.txt', 'c.jpg')
    (root / 'c.txt').unlink()
    folder('', 'd.jpg', 'd.txt', 'gone.jpg')
    records, report = read(root)
    assert [record.names for record in records] == [['car'], []]
    assert report.counts == {
        'name listed twice (read once)': 1,
        'line that is not "class cx cy w h" left out': 2,
        'box with a number that is not finite left out': 1,
        'box less than 1 pixel wide or high left out': 1,
        'image without boxes (kept)': 1,
        'unreadable image (left out)': 1,
        'image without txt (image left out)': 1,
        'listed image not found (image left out)': 1,
    }
    assert 'gone.jpg' in report.examples['listed image not found (image left out)']


def test_a_list_of_another_name_is_given_itself(folder):
    root = folder('car 30 40 20 10')
    (root / 'filelist.txt').rename(root / 'mine.txt')
    (record,), _ = read(root / 'mine.txt')
    assert record.file_name == 'a.jpg'


def test_no_list_is_one_clear_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'filelist.txt not found; expected a text file'):
        list(BoxTxtReader(tmp_path))
