"""Slots as YOLO poses: reading, writing, and that both fit together and to ultralytics."""

import pickle
from pathlib import PurePosixPath

import numpy as np
import pytest
import yaml
from PIL import Image

from mmdet_ext.datasets.formats.parking_slot_coco import HIDDEN, SLOT_TYPES, VISIBLE, ParkingImage
from mmdet_ext.datasets.formats.reader import ReadReport
from mmdet_ext.datasets.formats.yolo_pose import YoloPoseReader, label_path, write_yolo_pose

PERPENDICULAR, PARALLEL, SLANTED = range(3)
CORNERS = [[50, 200], [100, 200], [100, 80], [50, 80]]
LINE = '1 .375 .35 .25 .3  .25 .5 2  .5 .5 2  .5 .2 1  .25 .2 2'  # CORNERS of 200 x 400


def write(root, label, image='images/1.jpg', size=(200, 400), description=None):
    path = root / image
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size).save(path)
    if label is not None:
        txt = root / label_path(PurePosixPath(image))
        txt.parent.mkdir(parents=True, exist_ok=True)
        txt.write_text(label)
    if description is not None:
        (root / 'data.yaml').write_text(yaml.safe_dump(description))


def read(root, **options):
    report = ReadReport()
    return list(YoloPoseReader(root, **options).iterate(report)), dict(report.counts)


@pytest.mark.parametrize(
    ('image', 'label'),
    [
        ('/d/images/train/a.b.jpg', '/d/labels/train/a.b.txt'),
        ('/images/x/images/1.png', '/images/x/labels/1.txt'),
        ('/d/pictures/1.png', '/d/pictures/1.txt'),
        ('/d/my_images/images.jpg', '/d/my_images/images.txt'),
    ],
)
def test_labels_lie_where_ultralytics_looks_for_them(image, label):
    assert str(label_path(PurePosixPath(image))) == label


def test_a_line_is_read_in_pixels_with_flags_and_class(tmp_path):
    write(tmp_path, LINE, description={'train': 'images', 'names': ['perpendicular', 'parallel']})
    (record,), counts = read(tmp_path)
    assert record.file_name == 'images/1.jpg'
    assert (record.width, record.height, record.split) == (200, 400, 'train')
    assert record.corners.tolist() == [CORNERS]
    assert record.corner_visible.tolist() == [[VISIBLE, VISIBLE, HIDDEN, VISIBLE]]
    assert record.slot_types.tolist() == [PARALLEL]
    assert record.occupied.tolist() == [-1]
    assert counts == {}


def test_two_values_per_keypoint_and_windows_lines_are_read_too(tmp_path):
    write(tmp_path, '0 .4 .4 .1 .1 .25 .5 .5 .5 .5 .2 .25 .2\r\n\r\n')
    (record,), counts = read(tmp_path)
    assert record.corners.tolist() == [CORNERS]
    assert (record.corner_visible == VISIBLE).all()
    assert counts == {'slot type guessed from the shape': 1}


def test_splits_are_folders_or_lists_or_several_of_them(tmp_path):
    for image in ('images/a/1.jpg', 'images/b/2.jpg', 'images/c/3.jpg', 'images/c/4.jpg'):
        write(tmp_path, LINE, image)
    (tmp_path / 'val.txt').write_text('./images/c/3.jpg\nimages\\c\\4.jpg\n')
    lists = {'train': ['images/a', '../images/b'], 'val': 'val.txt', 'test': None}
    write(tmp_path, LINE, 'images/a/1.jpg', description=lists | {'names': {0: 'a', 1: 'parallel'}})
    records, counts = read(tmp_path / 'data.yaml')
    assert [(r.file_name[7:], r.split) for r in records] == [
        ('a/1.jpg', 'train'),
        ('b/2.jpg', 'train'),
        ('c/3.jpg', 'val'),
        ('c/4.jpg', 'val'),
    ]
    assert counts == {}


def test_a_path_of_another_machine_gives_way_to_the_folder_of_the_yaml(tmp_path):
    content = {'path': '/somewhere/else', 'train': 'images', 'names': ['slot', 'slanted']}
    write(tmp_path, LINE, description=content)
    (record,), _ = read(tmp_path)
    assert record.slot_types.tolist() == [SLANTED]


def test_without_a_yaml_folders_are_splits_and_class_numbers_are_names(tmp_path):
    write(tmp_path, LINE + '\n0' + LINE[1:], 'images/train/1.jpg')
    write(tmp_path, None, 'images/val/2.jpg')
    write(tmp_path, LINE, 'other/3.jpg')
    records, counts = read(tmp_path, names=['1:slanted_occupied', '0:ignore'])
    assert [(r.file_name, r.split) for r in records] == [
        ('images/train/1.jpg', 'train'),
        ('images/val/2.jpg', 'val'),
    ]
    assert records[0].slot_types.tolist() == [SLANTED]
    assert records[0].occupied.tolist() == [1]
    assert len(records[1].corners) == 0
    assert counts == {
        'line of an ignored class left out': 1,
        'image without txt (kept, without slots)': 1,
    }


def test_an_entrance_at_another_edge_is_moved_to_the_front(tmp_path):
    turned = '0 0 0 0 0 .25 .2 .25 .5 .5 .5 .5 .2'
    write(tmp_path, turned)
    (record,), _ = read(tmp_path, entrance=2)
    assert record.corners.tolist() == [CORNERS]


def test_what_is_wrong_is_counted_and_loses_nothing_else(tmp_path):
    lines = [
        LINE,
        '1 .5 .5 .1 .1',
        'x' + LINE[1:],
        '7' + LINE[1:],
        LINE.replace('.25 .5 2', 'nan .5 2'),
        LINE.replace('.5 .2 1', '0 0 0'),
        LINE.replace('.5 .2 1', '0 0 0').replace('.25 .2 2', '0 0 0'),
    ]
    content = {'train': 'images', 'val': 'nowhere', 'names': ['slot', 'parallel']}
    write(tmp_path, '\n'.join(lines), description=content | {'test': 'images'})
    write(tmp_path, LINE, 'images/2.jpg')
    (tmp_path / 'images/2.jpg').write_bytes(b'no image')
    (record,), counts = read(tmp_path)
    assert record.corners.tolist() == [CORNERS, CORNERS]
    assert counts == {
        'line without class, box and four keypoints left out': 2,
        'line of a class that data.yaml does not name left out': 1,
        'slot with a coordinate that is no finite number left out': 1,
        'slot with one corner unlabelled completed to a parallelogram': 1,
        'slot with several corners unlabelled left out': 1,
        'split of data.yaml that does not exist left out': 1,
        'image in two splits (kept in the first)': 2,
        'unreadable image (left out)': 1,
    }


@pytest.mark.parametrize(
    ('description', 'message'),
    [
        ({'names': ['a'], 'kpt_shape': [17, 3]}, r'kpt_shape is \[17, 3\]; expected \[4, 2\]'),
        ({'train': 'images'}, 'no `names` found'),
        ({'names': ['a'], 'train': 'nowhere'}, 'no image with a label found'),
    ],
)
def test_a_wrong_yaml_is_one_clear_sentence(tmp_path, description, message):
    write(tmp_path, LINE, description=description)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read(tmp_path)


def test_broken_and_ambiguous_yaml_is_one_clear_sentence(tmp_path):
    write(tmp_path, LINE)
    (tmp_path / 'a.yaml').write_text('names: [')
    with pytest.raises(ValueError, match=r'a\.yaml: not valid YAML'):
        read(tmp_path)
    (tmp_path / 'b.yml').write_text('names: []')
    with pytest.raises(ValueError, match=r"found \['a.yaml', 'b.yml'\]; give the one"):
        read(tmp_path)


def test_the_reader_takes_its_yaml_to_the_workers(tmp_path):
    write(tmp_path, LINE, description={'train': 'images', 'names': ['slot', 'slanted']})
    reader = YoloPoseReader(tmp_path)
    items = reader.find(ReadReport())
    again, items = pickle.loads(pickle.dumps((reader, items)))
    assert again.read(items[0], ReadReport()).slot_types.tolist() == [SLANTED]


def random_slots(rng, count, size):
    """Rectangles with any turn, wholly inside the image."""
    centre = rng.uniform(0.4, 0.6, (count, 1, 2)) * size
    angle, half = rng.uniform(0, 6.3, (count, 1)), rng.uniform(10, 50, (count, 2, 1))
    u = np.stack([np.cos(angle), np.sin(angle)], -1)
    v = np.stack([-np.sin(angle), np.cos(angle)], -1)
    signs = np.array([[-1, 1], [1, 1], [1, -1], [-1, -1]])[None]
    return centre + signs[..., :1] * half[:, :1] * u + signs[..., 1:] * half[:, 1:] * v


def records_of(root, size=(211, 397), occupied=(-1, 0, 1)):
    rng = np.random.default_rng(0)
    for name, split in (('a/1', 'train'), ('a/2', 'train'), ('b/3', 'val'), ('b/4', None)):
        path = root / f'{name}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', size).save(path)
        yield ParkingImage(
            f'{name}.jpg',
            *size,
            corners=random_slots(rng, 3, size).round(6),
            slot_types=np.array([0, 1, 2]),
            occupied=np.array(occupied),
            slot_points=np.full((3, 2), -1),
            corner_visible=rng.integers(1, 3, (3, 4)),
            split=split,
        )


def assert_same(first, second):
    assert first.file_name == second.file_name
    assert first.split == second.split
    for key in ('corners', 'slot_types', 'occupied', 'corner_visible'):
        np.testing.assert_array_equal(getattr(first, key), getattr(second, key))


def test_what_is_written_reads_exactly_the_same_again_and_again(tmp_path):
    written = list(records_of(tmp_path / 'source'))
    for folder in ('one', 'two'):
        write_yolo_pose(tmp_path / folder, written)
        (tmp_path / folder / 'images').symlink_to(tmp_path / 'source')
        records, counts = read(tmp_path / folder)
        assert counts == {}
        for record, original in zip(records, written, strict=True):
            assert record.file_name == f'images/{original.file_name.removeprefix("images/")}'
            original.file_name = record.file_name
            assert_same(record, original)
        written = records
    for name in ('labels/a/1.txt', 'data.yaml', 'train.txt', 'no_split.txt'):
        assert (tmp_path / 'one' / name).read_text() == (tmp_path / 'two' / name).read_text()


def test_the_files_are_what_ultralytics_reads(tmp_path):
    write_yolo_pose(tmp_path, list(records_of(tmp_path / 'source')))
    content = yaml.safe_load((tmp_path / 'data.yaml').read_text())
    assert content['kpt_shape'] == [4, 3]
    assert content['flip_idx'] == [1, 0, 3, 2]
    assert content['train'] == 'train.txt'
    assert (tmp_path / 'train.txt').read_text() == './images/a/1.jpg\n./images/a/2.jpg\n'
    assert list(content['names'].values())[::3] == [
        'perpendicular',
        'perpendicular vacant',
        'perpendicular occupied',
    ]
    values = np.loadtxt(tmp_path / 'labels/a/1.txt')
    assert values.shape == (3, 5 + 4 * 3)
    assert values[:, 0].tolist() == [0, 4, 8]
    keypoints = values[:, 5:].reshape(3, 4, 3)
    assert 0 <= keypoints[..., :2].min() <= keypoints[..., :2].max() <= 1
    low, high = keypoints[..., :2].min(1), keypoints[..., :2].max(1)
    np.testing.assert_allclose(values[:, 1:5], np.c_[(low + high) / 2, high - low], atol=1e-9)


def test_the_flip_order_turns_a_mirrored_slot_into_a_slot_in_order(tmp_path):
    write_yolo_pose(tmp_path, list(records_of(tmp_path / 'source')))
    flip = yaml.safe_load((tmp_path / 'data.yaml').read_text())['flip_idx']
    x, y = (np.array(CORNERS)[flip] * [-1, 1]).T
    assert (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() < 0  # anticlockwise on screen


def test_without_occupancy_the_classes_are_the_slot_types(tmp_path):
    write_yolo_pose(tmp_path, list(records_of(tmp_path / 'source', occupied=(-1, -1, -1))))
    content = yaml.safe_load((tmp_path / 'data.yaml').read_text())
    assert list(content['names'].values()) == list(SLOT_TYPES)


def test_classes_do_not_depend_on_whether_both_occupancies_occur(tmp_path):
    write_yolo_pose(tmp_path, list(records_of(tmp_path / 'source', occupied=(0, 0, 0))))
    content = yaml.safe_load((tmp_path / 'data.yaml').read_text())
    both = [f'{name} {state}' for state in ('vacant', 'occupied') for name in SLOT_TYPES]
    assert list(content['names'].values()) == both


def one_slot(corners, name='1.jpg'):
    corners = np.array([corners], dtype=float)
    none = np.array([-1])
    return ParkingImage(
        name,
        200,
        400,
        corners=corners,
        slot_types=np.array([0]),
        occupied=none,
        slot_points=np.full((1, 2), -1),
    )


def test_a_corner_outside_the_image_is_written_as_unlabelled_and_counted(tmp_path):
    slanted = np.array([[10.0, 200], [60, 200], [30, 80], [-20, 80]])
    report = write_yolo_pose(tmp_path, [one_slot(slanted)])
    values = np.loadtxt(tmp_path / 'labels/1.txt')
    assert values[-3:].tolist() == [0, 0, 0]
    # The box is that of the part inside: from the left border to x = 60.
    np.testing.assert_allclose(values[1:5], [0.15, 0.35, 0.3, 0.3])
    assert report.counts == {'slot with corners outside the image (written as not labelled)': 1}
    write(tmp_path, None)
    (record,), counts = read(tmp_path)
    np.testing.assert_allclose(record.corners, [slanted])
    assert counts == {'slot with one corner unlabelled completed to a parallelogram': 1}


@pytest.mark.parametrize('name', ['../1.jpg', '/data/1.jpg'])
def test_an_image_outside_the_folder_is_one_clear_sentence(tmp_path, name):
    with pytest.raises(ValueError, match='lies outside the image folder'):
        write_yolo_pose(tmp_path, [one_slot(CORNERS, name)])


def test_two_images_with_one_label_are_one_clear_sentence(tmp_path):
    records = [one_slot(CORNERS, '1.jpg'), one_slot(CORNERS, '1.png')]
    with pytest.raises(
        ValueError, match=r'1\.png: its label labels/1\.txt would be that of 1\.jpg'
    ):
        write_yolo_pose(tmp_path, records)
