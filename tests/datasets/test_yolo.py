"""Reading the YOLO layout of ultralytics."""

import json

import numpy as np
import pytest
from PIL import Image

from mmdet_ext.datasets.formats.convert import convert
from mmdet_ext.datasets.formats.reader import ReadReport
from mmdet_ext.datasets.formats.yolo import YoloReader

DATA = 'train: images/train\nval: images/val\nnames: [bus, car]\n'


@pytest.fixture
def yolo(tmp_path):
    def write(name, text=None, data=DATA, suffix='.jpg', root=tmp_path):
        image = root / f'{name}{suffix}'
        label = root / f'{name.replace("images", "labels")}.txt'
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (100, 80)).save(image)
        if text is not None:
            label.write_text(text)
        (root / 'data.yaml').write_text(data)
        return root

    return write


def read(root, **options):
    report = ReadReport()
    return list(YoloReader(root, **options).iterate(report)), report


def test_boxes_are_shares_of_the_image(yolo):
    (record,), report = read(yolo('images/train/a', '1 0.3 0.5 0.2 0.125\n0 0.5 0.5 1.0 1.0\n'))
    assert (record.file_name, record.split) == ('images/train/a.jpg', 'train')
    assert record.names == ['car', 'bus']
    np.testing.assert_allclose(record.boxes, [[20, 35, 40, 45], [0, 0, 100, 80]])
    assert report.counts == {'folder or list of a split not found': 1}  # images/val


def test_outlines_become_polygons_with_the_box_around_them(yolo):
    text = '1 0.1 0.5 0.3 0.25 0.2 1.0\n0 0.5 0.5 0.5 0.5\n'
    (record,), _ = read(yolo('images/train/a', text))
    np.testing.assert_allclose(record.boxes, [[10, 20, 30, 80], [25, 20, 75, 60]])
    (outline,), none = record.polygons
    np.testing.assert_allclose(outline, [[10, 40], [30, 20], [20, 80]])
    assert list(none) == []


def test_of_a_set_with_keypoints_the_boxes_are_read(yolo):
    data = f'{DATA}kpt_shape: [2, 3]\n'
    (record,), _ = read(yolo('images/train/a', '1 0.3 0.5 0.2 0.125 0.1 0.1 2 0.2 0.2 2', data))
    np.testing.assert_allclose(record.boxes, [[20, 35, 40, 45]])
    assert record.polygons == [[]]


@pytest.mark.parametrize(
    'names',
    [
        'names: [bus, car]',
        'names: {1: car, 0: bus}',
        'names:\n  "0": bus\n  "1": car',
        "names: ['bus', 'car']",
    ],
)
def test_names_are_a_list_or_numbered(yolo, names):
    root = yolo('images/train/a', '1 0.5 0.5 0.5 0.5', f'train: images/train\n{names}\n')
    (record,), _ = read(root)
    assert record.names == ['car']
    assert YoloReader(root).known_classes == ['bus', 'car']


def test_numbers_of_classes_may_have_gaps(yolo):
    data = 'train: images/train\nnames: {3: car, 7: bus}\n'
    root = yolo('images/train/a', '7 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0.5\n', data)
    (record,), report = read(root)
    assert record.names == ['bus']
    assert report.counts == {'object whose class number has no name left out': 1}


@pytest.mark.parametrize(
    'entry',
    [
        'images/train',
        '[images/train]',
        './images/train',
        'images',
        '../images/train',  # Roboflow's export, whose yaml file says one folder too many
        'list.txt',
        'list_of_dots.txt',
    ],
)
def test_a_split_is_a_folder_a_list_of_folders_or_a_txt_file(yolo, entry):
    root = yolo('images/train/a', '1 0.5 0.5 0.5 0.5', f'train: {entry}\nnames: [bus, car]\n')
    (root / 'list.txt').write_bytes(b'\xef\xbb\xbfimages/train/a.jpg\r\n')
    (root / 'list_of_dots.txt').write_text('./images/train/a.jpg\n')
    (record,), report = read(root)
    assert (record.file_name, record.names) == ('images/train/a.jpg', ['car'])
    assert not report.counts


@pytest.mark.parametrize('path', ['sub', '/from/another/machine', '', '../datasets/coco8'])
def test_path_of_the_yaml_file_counts_where_it_exists(yolo, tmp_path, path):
    place = tmp_path / path if path == 'sub' else tmp_path
    yolo('images/train/a', '1 0.5 0.5 0.5 0.5', root=place)
    (place / 'data.yaml').unlink()
    (tmp_path / 'coco8.yaml').write_text(f'path: {path}\n{DATA}')
    records, _ = read(tmp_path)
    assert [record.names for record in records] == [['car']]
    (record,), _ = read(tmp_path / 'coco8.yaml')
    assert record.file_name == records[0].file_name


def test_only_the_last_folder_images_is_replaced(yolo, tmp_path):
    root = tmp_path / 'images/set'
    data = 'train: images\nnames: [bus, car]\n'
    yolo('images/a', '1 0.5 0.5 0.5 0.5', data, root=root)
    (record,), _ = read(root)
    assert record.names == ['car']


def test_labels_stand_beside_images_where_no_folder_is_called_images(yolo):
    root = yolo('pictures/a', '1 0.5 0.5 0.5 0.5', 'train: pictures\nnames: [bus, car]\n')
    (record,), _ = read(root)
    assert record.names == ['car']


def test_an_image_without_txt_is_background(yolo):
    (record,), report = read(yolo('images/train/a', data='train: images/train\nnames: [bus]\n'))
    assert len(record.boxes) == 0
    assert report.counts == {
        'image without txt (kept as background)': 1,
        'image without boxes (kept)': 1,
    }


def test_an_image_in_two_splits_stays_in_the_first(yolo):
    data = 'train: images/train\nval: images/train\nnames: [bus, car]\n'
    (record,), report = read(yolo('images/train/a', '1 0.5 0.5 0.5 0.5', data))
    assert record.split == 'train'
    assert report.lines() == [
        '1 image in two splits (kept in the first), first images/train/a.jpg (train and val)'
    ]


def test_faults_are_counted_and_lose_nothing_else(yolo):
    good = '1 0.5 0.5 0.5 0.5'
    lines = [good, good, '1 0.5 0.5 0.5', '1 0.5 0.5 0.5 0.5 0.9', 'x 0.5 0.5 0.5 0.5']
    lines += [
        '1 nan 0.5 0.5 0.5',
        '1 50 40 20 10',
        '0 0.0 0.5 0.5 0.5',
        '0 0.1 0.1 0.5 0.5 nan 1.0',
    ]
    yolo('images/train/b', good)
    root = yolo('images/train/a', '\n'.join(lines))
    (root / 'images/train/b.jpg').write_bytes(b'no image')
    (root / 'list.txt').write_text('images/train/a.jpg\nimages/train/b.jpg\nimages/gone.jpg\n')
    (root / 'data.yaml').write_text('train: list.txt\nnames: [bus, car]\n')
    (record,), report = read(root)
    assert record.names == ['car', 'bus']
    np.testing.assert_allclose(record.boxes, [[25, 20, 75, 60], [0, 20, 25, 60]])
    assert report.counts == {
        'line given twice (read once)': 1,
        'line that is no box and no outline left out': 2,
        'object whose class number has no name left out': 1,
        'box with a number that is not finite left out': 2,
        'box with less than 1 pixel in the image left out': 1,
        'box clipped to the image': 1,
        'unreadable image (left out)': 1,
        'unreadable file (image left out)': 1,
    }


def test_all_splits_get_the_names_of_the_yaml_file(yolo, tmp_path):
    yolo('images/train/a', '1 0.5 0.5 0.5 0.5')
    root = yolo('images/val/b', '1 0.5 0.5 0.5 0.5')
    convert('yolo', root, tmp_path / 'out', num_workers=1)
    for split in ('train', 'val'):
        content = json.loads((tmp_path / f'out/{split}.json').read_text())
        assert [c['name'] for c in content['categories']] == ['bus', 'car']
        assert [a['bbox'] for a in content['annotations']] == [[25, 20, 50, 40]]
        assert len(content['images']) == 1


def test_classes_can_be_chosen_and_ordered(yolo):
    root = yolo('images/train/a', '1 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0.5\n')
    (record,), report = read(root, classes='car')
    assert record.names == ['car']
    assert report.counts['object of a class that is not asked for left out'] == 1


@pytest.mark.parametrize(
    ('data', 'error', 'sentence'),
    [
        ('train: images/train\n', ValueError, '`names` is None; expected the class names'),
        ('names: [a, a]\n', ValueError, r"`names` is \['a', 'a'\]; expected .* each once"),
        ('names: 3\n', ValueError, '`names` is 3'),
        ('names: [a\n', ValueError, 'not valid yaml'),
        ('- a\n', ValueError, '`names` is None'),
        ('names: [a]\ntrain: gone\n', FileNotFoundError, "no image found at .*'train': 'gone'"),
    ],
)
def test_a_wrong_yaml_file_is_one_clear_sentence(tmp_path, data, error, sentence):
    (tmp_path / 'data.yaml').write_text(data)
    with pytest.raises(error, match=f'data.yaml: {sentence}'):
        list(YoloReader(tmp_path))


def test_no_yaml_file_or_several_are_one_clear_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'found no yaml file; expected one data.yaml'):
        list(YoloReader(tmp_path))
    for name in 'ab':
        (tmp_path / f'{name}.yaml').touch()
    with pytest.raises(FileNotFoundError, match=r"found \['a.yaml', 'b.yaml'\]"):
        list(YoloReader(tmp_path))
